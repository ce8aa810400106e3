// Activations and the rounding of hidden states on a GPU. Definitions and shapes: quantize.h; in
// kExact the bits of exact.cc. Has not run on a device.
//
// A warp takes a group of 32 columns, a lane a number: the largest and the sum by shuffles, which
// are of integers, so in any order.
//   ActivationsKernel   grid (rows, blocks of 128 columns), block 128
//                       a number: 4 bytes read, 4, 2 or 1.4 written, 0, 0 or 4 operations
//   RoundKernel         grid (rows), block 128: 8 bytes a number, read and written in place
#pragma once

#include "kernels/cuda/portable.cuh"
#include "kernels/exact_math.h"
#include "kernels/quantize/quantize.h"

namespace fallow::cuda {

inline constexpr int kColumnsOfBlock = 128;
static_assert(kGroup == kWarp, "a warp takes a group");

// What a lane's number of a group becomes.
struct QuantisedLane {
  int code;
  float scale;  // this and the next are the group's
  int sum;
};

// exact::QuantiseGroup, called by all lanes of a warp.
__device__ __forceinline__ QuantisedLane
QuantiseGroup(float x, exact::ScaleFormat format = exact::ScaleFormat::kFp32) {
  constexpr unsigned kFailFromBits = BitsOf(exact::kFailFrom);
  unsigned largest = __float_as_uint(x) & 0x7fffffffu;
  for (int other = kWarp / 2; other > 0; other /= 2) {
    const unsigned bits = __shfl_xor_sync(kAllLanes, largest, other);
    largest = bits > largest ? bits : largest;
  }
  const float magnitude = __uint_as_float(largest);
  const bool failed = largest >= kFailFromBits;
  const bool zero = magnitude < exact::kZeroBelow;  // false for NaN
  const exact::ScaleAndInverse of_group = exact::ScaleOf(magnitude, format);
  int code = 0;
  if (!failed && !zero) {
    const float rounded = __fadd_rn(__fmul_rn(x, of_group.inverse), exact::kRounder);
    code = static_cast<int>(__float_as_uint(rounded)) - exact::kRounderBits;
  }
  int sum = code;
  for (int other = kWarp / 2; other > 0; other /= 2) {
    sum += __shfl_xor_sync(kAllLanes, sum, other);
  }
  return {code, failed ? exact::kNoNumber : zero ? 0.0f : of_group.scale, sum};
}

// Writes a group of a row, of which this lane has number x at `column`; lanes that lie beyond the
// row's numbers are not `inside` and bring 0. Called by all lanes of a warp.
__device__ __forceinline__ void StoreGroup(const Activations& out, std::int64_t row,
                                           std::int64_t column, float x, bool inside) {
  const std::int64_t at = row * out.k + column;
  if (out.arithmetic == Arithmetic::kFp32) {
    if (inside) out.values[at] = x;
  } else if (out.arithmetic == Arithmetic::kBf16) {
    if (inside) out.bf16[at] = Bf16FromFloat(x);
  } else {
    const QuantisedLane lane = QuantiseGroup(x);
    out.codes[at] = static_cast<std::int8_t>(lane.code);
    if (Lane() != 0) return;
    out.scale[at / kGroup] = lane.scale;
    out.sum[at / kGroup] = lane.sum;
    const bool failed = lane.scale != lane.scale;  // a device's product would be another NaN
    const float scaled_sum = __fmul_rn(lane.scale, static_cast<float>(lane.sum));
    out.scaled_sum[at / kGroup] = failed ? lane.scale : scaled_sum;
  }
}

static __global__ void __launch_bounds__(kColumnsOfBlock)
    ActivationsKernel(ActivationsArgs args, std::int64_t first_row) {
  const std::int64_t row = first_row + blockIdx.x;
  const std::int64_t i = std::int64_t{blockIdx.y} * kColumnsOfBlock + threadIdx.x;
  if (i - Lane() >= args.n) return;  // the whole warp
  const bool inside = i < args.n;
  const float x = inside ? args.x[row * args.stride + i] : 0.0f;
  StoreGroup(args.out, row, args.column + i, x, inside);
}

struct RoundShared {
  bool failed[kColumnsOfBlock / kWarp];  // of each warp's numbers
};

static __global__ void __launch_bounds__(kColumnsOfBlock)
    RoundKernel(RoundArgs args, std::int64_t first_row) {
  auto& shared = SharedStorage<RoundShared>();
  const std::int64_t row = first_row + blockIdx.x;
  float* values = args.x + row * args.n;
  bool failed = false;
  for (std::int64_t i = threadIdx.x; i - Lane() < args.n; i += kColumnsOfBlock) {
    const float x = i < args.n ? values[i] : 0.0f;
    failed = failed || !(fabsf(x) < exact::kFailFrom);
    float rounded = x;
    if (args.rounding == Rounding::kBf16) rounded = FloatFromBf16(Bf16FromFloat(x));
    if (args.rounding == Rounding::kInt8) {
      const QuantisedLane lane = QuantiseGroup(x);
      rounded = __fmul_rn(lane.scale, static_cast<float>(lane.code));
    }
    if (i < args.n && args.rounding != Rounding::kNone) values[i] = rounded;
  }
  const bool any = __any_sync(kAllLanes, failed) != 0;
  if (Lane() == 0) shared.failed[WarpOfBlock()] = any;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (const bool of_warp : shared.failed) {
    if (of_warp) args.failed[row] = 1;
  }
}

inline cudaError_t LaunchActivations(const ActivationsArgs& args, Range rows,
                                     cudaStream_t stream = nullptr) {
  if (rows.begin == rows.end || args.n == 0) return cudaSuccess;
  const auto blocks = static_cast<unsigned>((args.n + kColumnsOfBlock - 1) / kColumnsOfBlock);
  const auto count = static_cast<unsigned>(rows.end - rows.begin);
  return Launch(ActivationsKernel,
                {.grid = {count, blocks}, .block = kColumnsOfBlock, .stream = stream}, args,
                rows.begin);
}

inline cudaError_t LaunchRound(const RoundArgs& args, Range rows, cudaStream_t stream = nullptr) {
  if (rows.begin == rows.end) return cudaSuccess;
  return Launch(RoundKernel,
                {.grid = static_cast<unsigned>(rows.end - rows.begin),
                 .block = kColumnsOfBlock,
                 .shared_bytes = sizeof(RoundShared),
                 .stream = stream},
                args, rows.begin);
}

}  // namespace fallow::cuda
