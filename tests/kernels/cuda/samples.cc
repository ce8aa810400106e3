// Launches the samples. Compiled as kernels are, so it holds nothing of the standard library.
#include "tests/kernels/cuda/samples.h"

#include "kernels/cuda/emulator/memory.h"
#include "tests/kernels/cuda/samples.cuh"

namespace fallow::test {
namespace {

using cuda::Launch;
using cuda::LaunchShape;
using cuda::emulator::Memory;

unsigned Parts(int n, int size) { return static_cast<unsigned>((n + size - 1) / size); }

using TiledKernel = void (*)(const float*, const float*, float*, Sizes);

TiledKernel TiledWith(Fault fault) {
  switch (fault) {
    case Fault::kNoBarrierAfterLoad:
      return TiledProductKernel<Fault::kNoBarrierAfterLoad>;
    case Fault::kNoBarrierBeforeReload:
      return TiledProductKernel<Fault::kNoBarrierBeforeReload>;
    case Fault::kNoTailGuard:
      return TiledProductKernel<Fault::kNoTailGuard>;
    case Fault::kTwoBarriers:
      return TiledProductKernel<Fault::kTwoBarriers>;
    case Fault::kIndexBeyondArray:
      return TiledProductKernel<Fault::kIndexBeyondArray>;
    case Fault::kBarrierInBranch:
      return TiledProductKernel<Fault::kBarrierInBranch>;
    default:
      return TiledProductKernel<Fault::kNone>;
  }
}

using RowKernel = void (*)(const std::uint16_t*, const std::uint16_t*, float*, Sizes);

RowKernel RowWith(Fault fault) {
  switch (fault) {
    case Fault::kLaneLeaves:
      return RowProductKernel<Fault::kLaneLeaves>;
    case Fault::kMisaligned:
      return RowProductKernel<Fault::kMisaligned>;
    case Fault::kForeignLane:
      return RowProductKernel<Fault::kForeignLane>;
    case Fault::kMaskWithoutSelf:
      return RowProductKernel<Fault::kMaskWithoutSelf>;
    default:
      return RowProductKernel<Fault::kNone>;
  }
}

using StreamedKernel = void (*)(const float*, float*, Sizes);

StreamedKernel StreamedWith(Fault fault) {
  switch (fault) {
    case Fault::kNoWait:
      return StreamedSumKernel<Fault::kNoWait>;
    case Fault::kNoTrailingBarrier:
      return StreamedSumKernel<Fault::kNoTrailingBarrier>;
    case Fault::kWriteToInput:
      return StreamedSumKernel<Fault::kWriteToInput>;
    case Fault::kUnwrittenInput:
      return StreamedSumKernel<Fault::kUnwrittenInput>;
    default:
      return StreamedSumKernel<Fault::kNone>;
  }
}

using ReversalKernel = void (*)(int*);

ReversalKernel ReversalWith(Fault fault) {
  switch (fault) {
    case Fault::kNoWarpSync:
      return WarpReversalKernel<Fault::kNoWarpSync>;
    case Fault::kOtherBlock:
      return WarpReversalKernel<Fault::kOtherBlock>;
    case Fault::kMissingLane:
      return WarpReversalKernel<Fault::kMissingLane>;
    default:
      return WarpReversalKernel<Fault::kNone>;
  }
}

}  // namespace

void TiledProduct(Fault fault, Sizes sizes, const float* a, const float* b, float* c) {
  const auto left = Memory::Read(a, sizes.m * sizes.k);
  const auto right = Memory::Read(b, sizes.k * sizes.n);
  const auto product = Memory::Write(c, sizes.m * sizes.n);
  const LaunchShape shape{
      .grid = {Parts(sizes.n, kTile), Parts(sizes.m, kTile)},
      .block = {kTile, kTile},
      .shared_bytes = sizeof(TiledShared) - (fault == Fault::kTooLittleShared ? 4 : 0)};
  Launch(TiledWith(fault), shape, a, b, c, sizes);
}

void RowProduct(Fault fault, Sizes sizes, const std::uint16_t* w, const std::uint16_t* x,
                float* y) {
  const auto weights = Memory::Read(w, sizes.n * sizes.k);
  const auto factor = Memory::Read(x, sizes.k);
  const auto product = Memory::Write(y, sizes.n);
  Launch(RowWith(fault), {.grid = Parts(sizes.n, 4), .block = 128}, w, x, y, sizes);
}

void StreamedSum(Fault fault, Sizes sizes, const float* x, float* y) {
  const auto rows = Memory::Read(x, sizes.m * 128);
  const auto sum = Memory::Write(y, 128);
  const LaunchShape shape{.grid = 1, .block = 128, .shared_bytes = sizeof(StreamedShared)};
  Launch(StreamedWith(fault), shape, x, y, sizes);
}

void WarpReversal(Fault fault, Sizes sizes, int* x) {
  const auto numbers = Memory::ReadWrite(x, sizes.m);
  const LaunchShape shape{
      .grid = Parts(sizes.m, 64), .block = 64, .shared_bytes = sizeof(ReversalShared)};
  Launch(ReversalWith(fault), shape, x);
}

void TensorProduct(Fault fault, bool padded, Sizes sizes, const std::uint16_t* a,
                   const std::uint16_t* b, float* c) {
  const auto left = Memory::Read(a, sizes.m * sizes.k);
  const auto right = Memory::Read(b, sizes.n * sizes.k);
  const auto product = Memory::Write(c, sizes.m * sizes.n);
  LaunchShape shape{.grid = {Parts(sizes.n, kTensorTile), Parts(sizes.m, kTensorTile)},
                    .block = 128,
                    .shared_bytes = sizeof(TensorShared<true>)};
  if (fault == Fault::kWaitForFewer) {
    Launch(TensorProductKernel<Fault::kWaitForFewer, true>, shape, a, b, c, sizes);
  } else if (fault == Fault::kHalvesSwapped) {
    Launch(TensorProductKernel<Fault::kHalvesSwapped, true>, shape, a, b, c, sizes);
  } else if (padded) {
    Launch(TensorProductKernel<Fault::kNone, true>, shape, a, b, c, sizes);
  } else {
    Launch(TensorProductKernel<Fault::kNone, false>, shape, a, b, c, sizes);
  }
}

void ByteProduct(const std::int8_t* a, const std::int8_t* b, std::int32_t* d) {
  const auto left = Memory::Read(a, 16 * 32);
  const auto right = Memory::Read(b, 8 * 32);
  const auto product = Memory::Write(d, 16 * 8);
  Launch(ByteProductKernel, {.grid = 1, .block = 32}, a, b, d);
}

void HalfProduct(const std::uint16_t* a, const std::uint16_t* b, float* d) {
  const auto left = Memory::Read(a, 16 * 16);
  const auto right = Memory::Read(b, 8 * 16);
  const auto product = Memory::Write(d, 16 * 8);
  Launch(HalfProductKernel, {.grid = 1, .block = 32, .shared_bytes = sizeof(HalfShared)}, a, b, d);
}

void Intrinsics(const std::int32_t* x, std::int32_t* out) {
  const auto numbers = Memory::Read(x, 32);
  const auto results = Memory::Write(out, kIntrinsics * 32);
  Launch(IntrinsicsKernel, {.grid = 1, .block = 32}, x, out);
}

void AtomicSum(int blocks, std::int32_t* total) {
  const auto sum = Memory::ReadWrite(total, 1);
  Launch(AtomicSumKernel, {.grid = static_cast<unsigned>(blocks), .block = 64}, total);
}

}  // namespace fallow::test
