// Norms on a GPU. Definitions and shapes: norm.h; the bits of exact.cc, in every arithmetic. Has
// not run on a device.
//
// A block of 128 threads takes a row: its threads are the 128 partial sums.
//   NormKernel   grid (rows), block 128
//                a number: 4 bytes read two times (layer: three), 4 of weights (layer: 8), and
//                written as values or activations; 4 operations (layer: 7)
#pragma once

#include "kernels/cuda/portable.cuh"
#include "kernels/exact_math.h"
#include "kernels/norm/norm.h"
#include "kernels/quantize/kernel.cuh"

namespace fallow::cuda {

struct NormShared {
  float sums[exact::kNormLanes];
};

// The sum over the block of one number a thread, in the halving order of exact.cc.
__device__ __forceinline__ float SumOfLanes(float sum, NormShared& shared) {
  const int thread = static_cast<int>(threadIdx.x);
  __syncthreads();  // nobody still reads the sum before this
  shared.sums[thread] = sum;
  __syncthreads();
  if (thread < kWarp) {
    const float even = __fadd_rn(sum, shared.sums[thread + 64]);
    const float odd = __fadd_rn(shared.sums[thread + 32], shared.sums[thread + 96]);
    float total = __fadd_rn(even, odd);
    for (int half = kWarp / 2; half > 0; half /= 2) {
      total = __fadd_rn(total, __shfl_down_sync(kAllLanes, total, half));
    }
    if (thread == 0) shared.sums[0] = total;
  }
  __syncthreads();
  return shared.sums[0];
}

__device__ __forceinline__ float MeanOfRow(const float* x, std::int64_t n, NormShared& shared) {
  float sum = 0;
  for (std::int64_t i = threadIdx.x; i < n; i += exact::kNormLanes) sum = __fadd_rn(sum, x[i]);
  return __fdiv_rn(SumOfLanes(sum, shared), static_cast<float>(n));
}

__device__ __forceinline__ float InverseDeviation(const NormArgs& args, const float* x, float mean,
                                                  NormShared& shared) {
  float sum = 0;
  for (std::int64_t i = threadIdx.x; i < args.n; i += exact::kNormLanes) {
    const float centred = __fsub_rn(x[i], mean);
    sum = __fmaf_rn(centred, centred, sum);
  }
  const float variance = __fdiv_rn(SumOfLanes(sum, shared), static_cast<float>(args.n));
  return __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(variance, args.epsilon)));
}

static __global__ void __launch_bounds__(exact::kNormLanes)
    NormKernel(NormArgs args, std::int64_t first_row) {
  auto& shared = SharedStorage<NormShared>();
  const std::int64_t row = first_row + blockIdx.x;
  const float* x = args.x + row * args.n;
  const float mean = args.layer ? MeanOfRow(x, args.n, shared) : 0.0f;  // x - 0 is x
  const float inverse = InverseDeviation(args, x, mean, shared);
  const bool biased = args.layer && args.bias;
  for (std::int64_t i = threadIdx.x; i - Lane() < args.n; i += exact::kNormLanes) {
    const bool inside = i < args.n;
    float y = 0;
    if (inside) {
      const float scaled = __fmul_rn(__fsub_rn(x[i], mean), inverse);
      y = biased ? __fmaf_rn(scaled, args.weight[i], args.bias[i])
                 : __fmul_rn(scaled, args.weight[i]);
    }
    if (!args.values) {
      StoreGroup(args.out, row, i, y, inside);
    } else if (inside) {
      args.values[row * args.n + i] = y;
    }
  }
}

inline cudaError_t LaunchNorm(const NormArgs& args, Range rows, cudaStream_t stream = nullptr) {
  if (rows.begin == rows.end) return cudaSuccess;
  return Launch(NormKernel,
                {.grid = static_cast<unsigned>(rows.end - rows.begin),
                 .block = exact::kNormLanes,
                 .shared_bytes = sizeof(NormShared),
                 .stream = stream},
                args, rows.begin);
}

}  // namespace fallow::cuda
