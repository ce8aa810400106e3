// The kernels of cuda_limits.h, as whoever includes this compiles them.
#pragma once

#include "benchmarks/kernels/cuda_limits.h"
#include "kernels/cuda/portable.cuh"

namespace fallow::cuda {

static __global__ void __launch_bounds__(kLimitThreads)
    ReadKernel(const std::uint8_t* memory, std::int64_t bytes, unsigned* sink) {
  const std::int64_t thread = std::int64_t{blockIdx.x} * kLimitThreads + threadIdx.x;
  const std::int64_t step = std::int64_t{gridDim.x} * kLimitThreads * 16;
  unsigned sum = 0;
#pragma unroll 8
  for (std::int64_t at = thread * 16; at < bytes; at += step) {
    const uint4 four = Load16(memory + at);
    sum ^= four.x ^ four.y ^ four.z ^ four.w;
  }
  sink[thread] = sum;
}

struct Bf16Product {
  using Sum = float;
  static __device__ __forceinline__ void Add(Sum (&sums)[4], const std::uint32_t (&a)[4],
                                             const std::uint32_t (&b)[2]) {
    MultiplyAddBf16(sums, a, b);
  }
};
struct Int8Product {
  using Sum = std::int32_t;
  static __device__ __forceinline__ void Add(Sum (&sums)[4], const std::uint32_t (&a)[4],
                                             const std::uint32_t (&b)[2]) {
    MultiplyAddInt8(sums, a, b);
  }
};

template <typename Product>
__global__ void __launch_bounds__(kLimitThreads) TensorKernel(int turns, unsigned* sink) {
  const std::int64_t thread = std::int64_t{blockIdx.x} * kLimitThreads + threadIdx.x;
  const unsigned seed = static_cast<unsigned>(thread) * 2654435761u & 0x3fff3fffu;
  const std::uint32_t a[4] = {seed, seed ^ 1, seed ^ 2, seed ^ 3};
  const std::uint32_t b[2] = {seed ^ 4, seed ^ 5};
  typename Product::Sum sums[kChains][4] = {};
  for (int turn = 0; turn < turns; ++turn) {
#pragma unroll
    for (int chain = 0; chain < kChains; ++chain) Product::Add(sums[chain], a, b);
  }
  typename Product::Sum sum = 0;
#pragma unroll
  for (int chain = 0; chain < kChains; ++chain) {
    sum += sums[chain][0] + sums[chain][1] + sums[chain][2] + sums[chain][3];
  }
  sink[thread] = static_cast<unsigned>(sum != 0 ? 1 : 0);
}

inline LaunchShape LimitShape(int blocks, void* stream) {
  return {.grid = static_cast<unsigned>(blocks),
          .block = kLimitThreads,
          .stream = static_cast<cudaStream_t>(stream)};
}

// Internal to the source that includes this, as its kernels are.
static constexpr CudaLimits kLimits = {
    .read = [](const std::uint8_t* memory, std::int64_t bytes, unsigned* sink, int blocks,
               void* stream) -> int {
      return Launch(ReadKernel, LimitShape(blocks, stream), memory, bytes, sink);
    },
    .bf16 = [](int turns, unsigned* sink, int blocks, void* stream) -> int {
      return Launch(TensorKernel<Bf16Product>, LimitShape(blocks, stream), turns, sink);
    },
    .int8 = [](int turns, unsigned* sink, int blocks, void* stream) -> int {
      return Launch(TensorKernel<Int8Product>, LimitShape(blocks, stream), turns, sink);
    },
};

}  // namespace fallow::cuda
