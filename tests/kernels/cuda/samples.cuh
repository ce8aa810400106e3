// The kernels of samples.h.
#pragma once

#include "kernels/cuda/portable.cuh"
#include "tests/kernels/cuda/samples.h"

namespace fallow::test {

inline constexpr int kTile = 16;

struct TiledShared {
  float a[kTile][kTile + 1];
  float b[kTile][kTile + 1];
};

template <Fault kFault>
__global__ void __launch_bounds__(kTile* kTile)
    TiledProductKernel(const float* a, const float* b, float* c, Sizes sizes) {
  auto& shared = cuda::SharedStorage<TiledShared>();  // at kTooLittleShared
  const int tx = static_cast<int>(threadIdx.x);
  const int ty = static_cast<int>(threadIdx.y);
  const int row = static_cast<int>(blockIdx.y) * kTile + ty;
  const int column = static_cast<int>(blockIdx.x) * kTile + tx;
  float sum = 0;
  for (int k = 0; k < sizes.k; k += kTile) {
    const bool has_a = row < sizes.m && k + tx < sizes.k;
    const bool has_b = column < sizes.n && k + ty < sizes.k;
    const float from_a = has_a ? a[row * sizes.k + k + tx] : 0.0f;
    const float from_b = has_b ? b[(k + ty) * sizes.n + column] : 0.0f;
    shared.a[ty][tx] = from_a;  // at kNoBarrierAfterLoad
    shared.b[ty][tx] = from_b;  // at kNoBarrierBeforeReload
    if (kFault != Fault::kNoBarrierAfterLoad) __syncthreads();
    for (int i = 0; i < kTile; ++i) sum = __fmaf_rn(shared.a[ty][i], shared.b[i][tx], sum);
    if (kFault != Fault::kNoBarrierBeforeReload) __syncthreads();
  }
  if (kFault == Fault::kNoTailGuard) {
    c[row * sizes.n + column] = sum;  // at kNoTailGuard
  } else if (row < sizes.m && column < sizes.n) {
    c[row * sizes.n + column] = sum;
  }
  if (kFault == Fault::kBarrierInBranch) {
    if (tx < 8) __syncthreads();  // at kBarrierInBranch
  }
  if (kFault == Fault::kTwoBarriers) {
    if (ty < 8) {
      __syncthreads();
    } else {
      __syncthreads();  // at kTwoBarriers
    }
  }
  if (kFault == Fault::kIndexBeyondArray) {
    shared.a[ty + tx][0] = sum;  // at kIndexBeyondArray
  }
}

// The sum of the products of two pairs of bf16.
__device__ __forceinline__ float PairDot(unsigned a, unsigned b, float sum) {
  const auto at = [](unsigned word, int i) {
    return FloatFromBf16(static_cast<std::uint16_t>(word >> (16 * i)));
  };
  return __fmaf_rn(at(a, 1), at(b, 1), __fmaf_rn(at(a, 0), at(b, 0), sum));
}

template <Fault kFault>
__global__ void __launch_bounds__(128)
    RowProductKernel(const std::uint16_t* w, const std::uint16_t* x, float* y, Sizes sizes) {
  const int lane = cuda::Lane();
  const int row = static_cast<int>(blockIdx.x) * 4 + cuda::WarpOfBlock();
  if (row + (kFault == Fault::kLaneLeaves && lane == 31 ? 1 : 0) >= sizes.n) return;
  const std::uint16_t* weights = w + row * sizes.k + (kFault == Fault::kMisaligned ? 1 : 0);
  float sum = 0;
  for (int k = lane * 8; k < sizes.k; k += 256) {
    const uint4 a = cuda::Load16(weights + k);  // at kMisaligned, traffic of weights
    const uint4 b = cuda::Load16(x + k);
    sum = PairDot(a.x, b.x, PairDot(a.y, b.y, PairDot(a.z, b.z, PairDot(a.w, b.w, sum))));
  }
  for (int other = 16; other > 0; other /= 2) {
    sum += __shfl_xor_sync(cuda::kAllLanes, sum, other);  // at kLaneLeaves
  }
  if (kFault == Fault::kForeignLane && lane < 16) {
    sum += __shfl_sync(0xffffu, sum, 20);  // at kForeignLane
  }
  if (kFault == Fault::kMaskWithoutSelf) {
    sum += __shfl_sync(0xfu, sum, 0);  // at kMaskWithoutSelf
  }
  if (lane == 0) y[row] = sum;
}

inline constexpr int kStreamed = 4;  // rows a buffer

struct StreamedShared {
  float rows[2][kStreamed][128];
};

// One block of 128 threads: a thread a column, but each copies for others too.
template <Fault kFault>
__global__ void __launch_bounds__(128) StreamedSumKernel(const float* x, float* y, Sizes sizes) {
  auto& shared = cuda::SharedStorage<StreamedShared>();
  const int thread = static_cast<int>(threadIdx.x);
  const auto fetch = [&](int first, int buffer) {
    const int row = first + thread / 32;
    const int column = thread % 32 * 4;
    const float* from = x + (row < sizes.m ? row * 128 + column : 0);
    cuda::CopyAsync16(&shared.rows[buffer][thread / 32][column], from,  // at kNoTrailingBarrier
                      row < sizes.m);
  };
  fetch(0, 0);
  cuda::CommitCopies();
  float sum = 0;
  for (int first = 0; first < sizes.m; first += kStreamed) {
    const int buffer = first / kStreamed % 2;
    if (first + kStreamed < sizes.m) fetch(first + kStreamed, 1 - buffer);
    cuda::CommitCopies();
    if (kFault != Fault::kNoWait) cuda::WaitForCopies<1>();
    __syncthreads();
    for (int i = 0; i < kStreamed; ++i) {
      sum = __fadd_rn(sum, shared.rows[buffer][i][thread]);  // at kNoWait
    }
    if (kFault != Fault::kNoTrailingBarrier) __syncthreads();
  }
  if (kFault == Fault::kWriteToInput) const_cast<float*>(x)[thread] = sum;  // at kWriteToInput
  if (kFault == Fault::kUnwrittenInput) sum += y[thread];                   // at kUnwrittenInput
  y[thread] = sum;
}

struct ReversalShared {
  int numbers[64];
};

template <Fault kFault>
__global__ void __launch_bounds__(64) WarpReversalKernel(int* x) {
  auto& shared = cuda::SharedStorage<ReversalShared>();
  const int thread = static_cast<int>(threadIdx.x);
  const int block = kFault == Fault::kOtherBlock ? 0 : static_cast<int>(blockIdx.x);
  int* numbers = x + block * 64;
  shared.numbers[thread] = numbers[thread];  // at kOtherBlock
  if (kFault == Fault::kMissingLane && cuda::Lane() == 0) __syncthreads();
  if (kFault != Fault::kNoWarpSync) __syncwarp();  // at kMissingLane
  numbers[thread] = shared.numbers[thread ^ 31];   // at kNoWarpSync
}

inline constexpr int kTensorTile = 64;
inline constexpr int kTensorDepth = 32;

template <bool kPadded>
struct TensorShared {
  static constexpr int kPitch = kTensorDepth + (kPadded ? 8 : 0);  // 80 bytes: other banks a row
  std::uint16_t a[2][kTensorTile][kPitch];
  std::uint16_t b[2][kTensorTile][kPitch];
};

template <bool kPadded>
__device__ __forceinline__ void FetchTiles(TensorShared<kPadded>& shared, int buffer,
                                           const std::uint16_t* a, const std::uint16_t* b,
                                           Sizes sizes, int k) {
  const int m = static_cast<int>(blockIdx.y) * kTensorTile;
  const int n = static_cast<int>(blockIdx.x) * kTensorTile;
  for (int i = static_cast<int>(threadIdx.x); i < kTensorTile * kTensorDepth / 8; i += 128) {
    const int row = i / (kTensorDepth / 8);
    const int column = i % (kTensorDepth / 8) * 8;
    const bool has_a = m + row < sizes.m;
    const bool has_b = n + row < sizes.n;
    cuda::CopyAsync16(&shared.a[buffer][row][column],
                      a + (has_a ? (m + row) * sizes.k + k + column : 0), has_a);
    cuda::CopyAsync16(&shared.b[buffer][row][column],
                      b + (has_b ? (n + row) * sizes.k + k + column : 0), has_b);
  }
  cuda::CommitCopies();
}

// Adds the product of the buffer's tiles to the warp's 32x32 of the block's 64x64.
template <Fault kFault, bool kPadded>
__device__ __forceinline__ void MultiplyTiles(const TensorShared<kPadded>& shared, int buffer,
                                              float (&sums)[2][4][4]) {
  const int lane = cuda::Lane();
  const int m = cuda::WarpOfBlock() % 2 * 32;
  const int n = cuda::WarpOfBlock() / 2 * 32;
  for (int k = 0; k < kTensorDepth; k += 16) {
    std::uint32_t a[2][4];
    std::uint32_t b[2][4];
    for (int i = 0; i < 2; ++i) {
      const int row_a = m + i * 16 + lane % 16;
      const int row_b = n + i * 16 + lane % 8 + lane / 16 * 8;
      const int column = k + lane / 8 % 2 * 8;
      cuda::LoadMatrices(a[i], &shared.a[buffer][row_a][k + lane / 16 * 8]);  // at kWaitForFewer
      cuda::LoadMatrices(b[i], &shared.b[buffer][row_b][column]);             // traffic of matrices
    }
    for (int i = 0; i < 2; ++i) {
      for (int j = 0; j < 4; ++j) {
        const int swap = kFault == Fault::kHalvesSwapped ? 1 : 0;
        const std::uint32_t half[2] = {b[j / 2][j % 2 * 2 + swap], b[j / 2][j % 2 * 2 + 1 - swap]};
        cuda::MultiplyAddBf16(sums[i][j], a[i], half);
      }
    }
  }
}

template <Fault kFault, bool kPadded>
__global__ void __launch_bounds__(128)
    TensorProductKernel(const std::uint16_t* a, const std::uint16_t* b, float* c, Sizes sizes) {
  auto& shared = cuda::SharedStorage<TensorShared<kPadded>>();
  float sums[2][4][4] = {};
  FetchTiles(shared, 0, a, b, sizes, 0);
  for (int k = 0; k < sizes.k; k += kTensorDepth) {
    const int buffer = k / kTensorDepth % 2;
    if (k + kTensorDepth < sizes.k) {
      FetchTiles(shared, 1 - buffer, a, b, sizes, k + kTensorDepth);
    } else {
      cuda::CommitCopies();
    }
    cuda::WaitForCopies<kFault == Fault::kWaitForFewer ? 2 : 1>();
    __syncthreads();
    MultiplyTiles<kFault>(shared, buffer, sums);
    __syncthreads();
  }
  const int lane = cuda::Lane();
  const int first_row = static_cast<int>(blockIdx.y) * kTensorTile + cuda::WarpOfBlock() % 2 * 32;
  const int first_column =
      static_cast<int>(blockIdx.x) * kTensorTile + cuda::WarpOfBlock() / 2 * 32;
  for (int i = 0; i < 32; ++i) {
    const int tile = i / 4;  // 16 rows and 8 columns each
    const int row = first_row + tile / 4 * 16 + i % 4 / 2 * 8 + lane / 4;
    const int column = first_column + tile % 4 * 8 + lane % 4 * 2 + i % 2;
    if (row < sizes.m && column < sizes.n)
      c[row * sizes.n + column] = sums[tile / 4][tile % 4][i % 4];
  }
}

// Fragments as the PTX ISA has them: a register holds four bytes of consecutive k.
static __global__ void __launch_bounds__(32)
    ByteProductKernel(const std::int8_t* a, const std::int8_t* b, std::int32_t* d) {
  const int row = cuda::Lane() / 4;
  const int four = cuda::Lane() % 4 * 4;
  const std::uint32_t from_a[4] = {
      cuda::Load4(a + row * 32 + four), cuda::Load4(a + (row + 8) * 32 + four),
      cuda::Load4(a + row * 32 + 16 + four), cuda::Load4(a + (row + 8) * 32 + 16 + four)};
  const std::uint32_t from_b[2] = {cuda::Load4(b + row * 32 + four),
                                   cuda::Load4(b + row * 32 + 16 + four)};
  std::int32_t sums[4] = {};
  cuda::MultiplyAddInt8(sums, from_a, from_b);
  for (int i = 0; i < 4; ++i) d[(row + i / 2 * 8) * 8 + cuda::Lane() % 4 * 2 + i % 2] = sums[i];
}

struct HalfShared {
  std::uint16_t a[16][16];
  std::uint16_t b[32][8];  // [k, n]; LoadMatricesTransposed takes 32 rows, a product needs 16
};

static __global__ void __launch_bounds__(32)
    HalfProductKernel(const std::uint16_t* a, const std::uint16_t* b, float* d) {
  auto& shared = cuda::SharedStorage<HalfShared>();
  const int lane = cuda::Lane();
  for (int i = lane; i < 256; i += 32) {
    shared.a[i / 16][i % 16] = a[i];
    shared.b[i / 8][i % 8] = i < 128 ? b[i % 8 * 16 + i / 8] : std::uint16_t{0};
  }
  __syncwarp();
  std::uint32_t from_a[4];
  std::uint32_t from_b[4];
  cuda::LoadMatrices(from_a, &shared.a[lane % 16][lane / 16 * 8]);
  cuda::LoadMatricesTransposed(from_b, &shared.b[lane][0]);
  const std::uint32_t half[2] = {from_b[0], from_b[1]};
  float sums[4] = {};
  cuda::MultiplyAddFp16(sums, from_a, half);
  for (int i = 0; i < 4; ++i) d[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
}

static __global__ void __launch_bounds__(32)
    IntrinsicsKernel(const std::int32_t* x, std::int32_t* out) {
  const int lane = cuda::Lane();
  const std::int32_t own = x[lane];
  const std::int32_t results[kIntrinsics] = {
      __shfl_sync(cuda::kAllLanes, own, 5),
      __shfl_sync(cuda::kAllLanes, own, lane + 3, 8),
      __shfl_up_sync(cuda::kAllLanes, own, 3, 16),
      __shfl_down_sync(cuda::kAllLanes, own, 5),
      __shfl_xor_sync(cuda::kAllLanes, own, 9),
      static_cast<std::int32_t>(__ballot_sync(cuda::kAllLanes, own > 0)),
      __any_sync(cuda::kAllLanes, own == 31),
      __all_sync(cuda::kAllLanes, own >= -100),
      __dp4a(own, own ^ 0x7f80ff01, 7),
      static_cast<std::int32_t>(__byte_perm(0x33221100, 0x77665544, static_cast<unsigned>(own)))};
  for (int i = 0; i < kIntrinsics; ++i) out[i * 32 + lane] = results[i];
}

static __global__ void __launch_bounds__(64) AtomicSumKernel(std::int32_t* total) {
  atomicAdd(total, static_cast<int>(blockIdx.x * 64 + threadIdx.x));
}

}  // namespace fallow::test
