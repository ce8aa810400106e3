// What every kernel includes: CUDA under nvcc, and under a host compiler an emulator of it, so that
// one source runs on a GPU and is tested without one. Nothing here has run on a device.
//
// Kernels are plain CUDA. What keeps both sides alike:
//   - launch with Launch(kernel, shape, arguments...) alone
//   - all shared memory is one struct: auto& shared = SharedStorage<T>()
//   - memory is read and written as elements of its own type; wider only by Load4, Load16, Store16
//     and CopyAsync16, at addresses that are multiples of the width
//   - warps talk through the _sync intrinsics, with explicit masks; shuffles order no memory
//   - inline PTX stands in nvcc.cuh alone, each wrapper with a twin in emulator/device.h
//   - the order of floating-point operations is part of a kernel: __fmaf_rn, __fadd_rn, …
//   - no static data, no standard library
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#include "kernels/cuda/nvcc.cuh"
#else
#include "kernels/cuda/emulator/device.h"
#endif

namespace fallow::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

template <typename T>
__device__ __forceinline__ T Smaller(T a, T b) {
  return b < a ? b : a;
}

__device__ __forceinline__ int Lane() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ __forceinline__ int WarpOfBlock() { return static_cast<int>(threadIdx.x) / kWarp; }

__device__ __forceinline__ float FloatFromBf16(std::uint16_t bits) {
  return __uint_as_float(static_cast<unsigned>(bits) << 16);
}

// To nearest even. A NaN stays one, with the bits that the host's conversion gives it.
__device__ __forceinline__ std::uint16_t Bf16FromFloat(float x) {
  const unsigned bits = __float_as_uint(x);
  if (x != x) return static_cast<std::uint16_t>((bits >> 16) | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

}  // namespace fallow::cuda
