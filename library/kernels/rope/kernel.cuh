// Rotary embedding on a GPU. Definition and shapes: rope.h; the bits of exact.cc. Has not run on a
// device.
//
//   RopeKernel   grid (rows), block 128: a thread takes pairs of the row's heads in turn
//                a pair: 8 bytes read and written, 8 read of the tables, which all heads share;
//                4 operations
#pragma once

#include "kernels/cuda/portable.cuh"
#include "kernels/rope/rope.h"

namespace fallow::cuda {

inline constexpr int kRopeThreads = 128;

static __global__ void __launch_bounds__(kRopeThreads)
    RopeKernel(RopeArgs args, std::int64_t first_row) {
  const std::int64_t row = first_row + blockIdx.x;
  const int half = args.dims / 2;
  const std::int64_t angles = std::int64_t{args.position[row]} * half;
  for (int pair = static_cast<int>(threadIdx.x); pair < args.heads * half; pair += kRopeThreads) {
    const int i = pair % half;
    float* x = args.x + row * args.stride + std::int64_t{pair / half} * args.head_dim + i;
    const float cosine = args.cosine[angles + i];
    const float sine = args.sine[angles + i];
    const float a = x[0];
    const float b = x[half];
    x[0] = __fmaf_rn(a, cosine, -__fmul_rn(b, sine));
    x[half] = __fmaf_rn(b, cosine, __fmul_rn(a, sine));
  }
}

inline cudaError_t LaunchRope(const RopeArgs& args, Range rows, cudaStream_t stream = nullptr) {
  if (rows.begin == rows.end) return cudaSuccess;
  return Launch(RopeKernel,
                {.grid = static_cast<unsigned>(rows.end - rows.begin),
                 .block = kRopeThreads,
                 .stream = stream},
                args, rows.begin);
}

}  // namespace fallow::cuda
