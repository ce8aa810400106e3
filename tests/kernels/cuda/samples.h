// Small kernels that use all that the emulator has, each with faults that can be planted in it.
#pragma once

#include <cstdint>

namespace fallow::test {

// A comment "at <names>" stands in samples.cuh beside each line that a checked run must name.
enum class Fault {
  kNone,
  kNoBarrierAfterLoad,  // TiledProduct
  kNoBarrierBeforeReload,
  kNoTailGuard,
  kIndexBeyondArray,
  kBarrierInBranch,
  kTwoBarriers,
  kTooLittleShared,
  kLaneLeaves,  // RowProduct
  kMisaligned,
  kForeignLane,
  kMaskWithoutSelf,
  kNoWait,  // StreamedSum
  kNoTrailingBarrier,
  kWriteToInput,
  kUnwrittenInput,
  kNoWarpSync,  // WarpReversal
  kOtherBlock,
  kMissingLane,
  kWaitForFewer,  // TensorProduct
  kHalvesSwapped,
};

struct Sizes {
  int m;
  int n;
  int k;
};

// c [m, n] = a [m, k] b [k, n], floats: static tiles in shared memory.
void TiledProduct(Fault fault, Sizes sizes, const float* a, const float* b, float* c);

// y [n] = w [n, k] x [k], bf16 in, floats out, k a multiple of 256: a warp a row, shuffles.
void RowProduct(Fault fault, Sizes sizes, const std::uint16_t* w, const std::uint16_t* x, float* y);

// y [128] = the sum over m rows of x [m, 128]: asynchronous copies of 4 rows, two buffers.
void StreamedSum(Fault fault, Sizes sizes, const float* x, float* y);

// Reverses each 32 of x [m], in place, through shared memory of a warp.
void WarpReversal(Fault fault, Sizes sizes, int* x);

// c [m, n] = a [m, k] b [n, k] transposed, bf16 in, floats out, k a multiple of 32: tensor cores.
// `padded`: rows in shared memory lie so that LoadMatrices needs no bank two times.
void TensorProduct(Fault fault, bool padded, Sizes sizes, const std::uint16_t* a,
                   const std::uint16_t* b, float* c);

// d [16, 8] = a [16, 32] b [8, 32] transposed: one product of the tensor cores.
void ByteProduct(const std::int8_t* a, const std::int8_t* b, std::int32_t* d);

// d [16, 8] = a [16, 16] b [8, 16] transposed, fp16 in, floats out; `a` comes by LoadMatrices, b
// from its transpose by LoadMatricesTransposed.
void HalfProduct(const std::uint16_t* a, const std::uint16_t* b, float* d);

// What each of 32 lanes gets from the intrinsics, from numbers x [32]: out [kIntrinsics, 32].
inline constexpr int kIntrinsics = 10;
void Intrinsics(const std::int32_t* x, std::int32_t* out);

// total += the number of each thread, for `blocks` of 64 threads.
void AtomicSum(int blocks, std::int32_t* total);

}  // namespace fallow::test
