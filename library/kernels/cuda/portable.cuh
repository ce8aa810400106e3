// What every kernel includes: CUDA under nvcc, and under a host compiler an emulator of it, so that
// one source runs on a GPU and is tested without one. Nothing here has run on a device.
//
// Kernels are plain CUDA. What keeps both sides alike:
//   - launch with Launch(kernel, shape, arguments...) alone
//   - all shared memory is one struct: auto& shared = SharedStorage<T>()
//   - memory is read and written as elements of its own type; wider only by Load4, Load8, Load16,
//     Store16 and CopyAsync16, at addresses that are multiples of the width
//   - warps talk through the _sync intrinsics, with explicit masks; shuffles order no memory
//   - inline PTX stands in nvcc.cuh alone, each wrapper with a twin in emulator/device.h
//   - the order of floating-point operations is part of a kernel: __fmaf_rn, __fadd_rn, …, or the
//     functions of exact_math.h, which nvcc compiles with -fmad=false -prec-div=true -ftz=false
//   - no static data, no standard library
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/float_bits.h"

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

}  // namespace fallow::cuda
