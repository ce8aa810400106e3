// Gated non-linearities on a GPU. Definition and shapes: glu.h; f as in exact_math.h, so with
// kExact the bits of exact.cc. Has not run on a device.
//
//   GluKernel   grid (rows, blocks of 128 columns), block 128
//               a number: 8 bytes read (4 without `up`), written as activations; about 25
//               operations
#pragma once

#include "kernels/cuda/portable.cuh"
#include "kernels/exact_math.h"
#include "kernels/glu/glu.h"
#include "kernels/quantize/kernel.cuh"

namespace fallow::cuda {

__device__ __forceinline__ float Activate(Activation activation, float x) {
  switch (activation) {
    case Activation::kSilu:
      return exact::Silu(x);
    case Activation::kGeluTanh:
      return exact::GeluTanh(x);
    case Activation::kGeluErf:
      return exact::GeluErf(x);
  }
  return 0;
}

static __global__ void __launch_bounds__(kColumnsOfBlock)
    GluKernel(GluArgs args, std::int64_t first_row) {
  const std::int64_t row = first_row + blockIdx.x;
  const std::int64_t i = std::int64_t{blockIdx.y} * kColumnsOfBlock + threadIdx.x;
  if (i - Lane() >= args.n) return;  // the whole warp
  const bool inside = i < args.n;
  const std::int64_t at = row * args.stride + i;
  float y = inside ? Activate(args.activation, args.gate[at]) : 0.0f;
  if (inside && args.up) y = __fmul_rn(y, args.up[at]);
  StoreGroup(args.out, row, i, y, inside);
}

inline cudaError_t LaunchGlu(const GluArgs& args, Range rows, cudaStream_t stream = nullptr) {
  if (rows.begin == rows.end || args.n == 0) return cudaSuccess;
  const auto blocks = static_cast<unsigned>((args.n + kColumnsOfBlock - 1) / kColumnsOfBlock);
  const auto count = static_cast<unsigned>(rows.end - rows.begin);
  return Launch(GluKernel, {.grid = {count, blocks}, .block = kColumnsOfBlock, .stream = stream},
                args, rows.begin);
}

}  // namespace fallow::cuda
