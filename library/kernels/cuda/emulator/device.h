// CUDA's language as a host compiler reads it: what kernels see through portable.cuh. Each function
// does what the CUDA programming guide, or nvcc.cuh for those of fallow::cuda, says of its name.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/float_bits.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};
struct dim3 {
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  unsigned x, y, z;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorLaunchFailure = 719
};
using cudaStream_t = void*;

namespace fallow::cuda::emulator {

// Of the device thread that runs on this thread of the operating system.
struct Builtins {
  uint3 thread, block;
  dim3 block_size, grid_size;
};
extern constinit thread_local Builtins builtins;

enum class Shuffle { kIndex, kUp, kDown, kXor };

// The lane's bits of __shfl_sync and its kin.
std::uint64_t ShuffleBits(Shuffle shuffle, unsigned mask, std::uint64_t bits, int argument,
                          int width);

template <typename T>
__forceinline__ T ShuffleValue(Shuffle shuffle, unsigned mask, T value, int argument, int width) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = ShuffleBits(shuffle, mask, bits, argument, width);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

void* SharedMemory(std::size_t bytes);
void WaitForCopyGroups(int groups);

}  // namespace fallow::cuda::emulator

#define threadIdx (::fallow::cuda::emulator::builtins.thread)
#define blockIdx (::fallow::cuda::emulator::builtins.block)
#define blockDim (::fallow::cuda::emulator::builtins.block_size)
#define gridDim (::fallow::cuda::emulator::builtins.grid_size)

void __syncthreads();
void __syncwarp(unsigned mask = 0xffffffffu);
unsigned __ballot_sync(unsigned mask, int predicate);
int __any_sync(unsigned mask, int predicate);
int __all_sync(unsigned mask, int predicate);
int atomicAdd(int* p, int value);
float atomicAdd(float* p, float value);

template <typename T>
__forceinline__ T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
  return fallow::cuda::emulator::ShuffleValue(fallow::cuda::emulator::Shuffle::kIndex, mask, value,
                                              lane, width);
}
template <typename T>
__forceinline__ T __shfl_up_sync(unsigned mask, T value, int distance, int width = 32) {
  return fallow::cuda::emulator::ShuffleValue(fallow::cuda::emulator::Shuffle::kUp, mask, value,
                                              distance, width);
}
template <typename T>
__forceinline__ T __shfl_down_sync(unsigned mask, T value, int distance, int width = 32) {
  return fallow::cuda::emulator::ShuffleValue(fallow::cuda::emulator::Shuffle::kDown, mask, value,
                                              distance, width);
}
template <typename T>
__forceinline__ T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
  return fallow::cuda::emulator::ShuffleValue(fallow::cuda::emulator::Shuffle::kXor, mask, value,
                                              bits, width);
}

__forceinline__ float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
__forceinline__ float __fmul_rn(float a, float b) { return a * b; }
__forceinline__ float __fadd_rn(float a, float b) { return a + b; }
__forceinline__ float __fsub_rn(float a, float b) { return a - b; }
__forceinline__ float __fdiv_rn(float a, float b) { return a / b; }
__forceinline__ float __fsqrt_rn(float a) { return __builtin_sqrtf(a); }
__forceinline__ unsigned __float_as_uint(float x) { return fallow::BitsOf(x); }
__forceinline__ float __uint_as_float(unsigned bits) { return fallow::FloatOf(bits); }

__forceinline__ int __popc(unsigned x) { return __builtin_popcount(x); }

// sum + the dot product of four signed bytes with four
__forceinline__ int __dp4a(int a, int b, int sum) {
  for (int i = 0; i < 32; i += 8) {
    sum += static_cast<std::int8_t>(a >> i) * static_cast<std::int8_t>(b >> i);
  }
  return sum;
}

// Four of the eight bytes of low and high, each named by three bits of a nibble of `selector`.
__forceinline__ unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
  const std::uint64_t bytes = static_cast<std::uint64_t>(high) << 32 | low;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned from = selector >> (4 * i) & 7;
    result |= static_cast<unsigned>(bytes >> (8 * from) & 255) << (8 * i);
  }
  return result;
}

namespace fallow::cuda {

using fallow::FloatFromFp16;

std::uint32_t Load4(const void* p);
uint2 Load8(const void* p);
uint4 Load16(const void* p);
void Store16(void* p, uint4 value);

template <typename T>
__forceinline__ T& SharedStorage() {
  return *static_cast<T*>(emulator::SharedMemory(sizeof(T)));
}

void CopyAsync16(void* to, const void* from, bool valid = true);
void CommitCopies();
template <int kGroups>
__forceinline__ void WaitForCopies() {
  emulator::WaitForCopyGroups(kGroups);
}

void LoadMatrices(std::uint32_t (&r)[4], const void* row);
void LoadMatricesTransposed(std::uint32_t (&r)[4], const void* row);
void MultiplyAddBf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);
void MultiplyAddFp16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);
void MultiplyAddInt8(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                     const std::uint32_t (&b)[2]);

int ComputeCapability();

struct LaunchShape {
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
};

namespace emulator {

// A kernel and its arguments, as cudaLaunchKernel takes them, and how the host calls it with them.
struct Call {
  const void* function;
  const void* const* arguments;
  void (*device_thread)(const void* closure);
  const void* closure;
};

// Runs the kernel once for each thread of the grid. cudaErrorLaunchFailure if anything was found
// wrong (findings.h).
cudaError_t RunGrid(const LaunchShape& shape, const Call& call);

// Reports a launch that was refused; what a kernel does wrong is reported at once.
void CheckLaunch(cudaError_t error);

// Keeps a copy of the closure for a stream (stream.h), to be run by it later.
cudaError_t Enqueue(cudaStream_t stream, const void* closure, std::size_t bytes,
                    cudaError_t (*run)(const void* closure));

}  // namespace emulator

// Enqueues the kernel on the shape's stream. Without one it runs at once, and all of its threads
// have ended on return.
template <typename... Parameters>
cudaError_t Launch(void (*kernel)(Parameters...), const LaunchShape& shape,
                   std::type_identity_t<Parameters>... arguments) {
  if (shape.stream) {
    LaunchShape at_once = shape;
    at_once.stream = nullptr;
    const auto later = [=] { return Launch(kernel, at_once, arguments...); };
    static_assert(std::is_trivially_copyable_v<decltype(later)>);
    return emulator::Enqueue(shape.stream, &later, sizeof later,
                             [](const void* f) { return (*static_cast<decltype(later)*>(f))(); });
  }
  // Not watched: arguments are read from the launching thread's stack.
  const auto call = [&]() __attribute__((no_sanitize("thread"))) { kernel(arguments...); };
  const auto call_it = [](const void* f) __attribute__((no_sanitize("thread"))) {
    (*static_cast<decltype(call)*>(f))();
  };
  const void* const pointers[] = {&arguments...};
  return emulator::RunGrid(shape,
                           {reinterpret_cast<const void*>(kernel), pointers, call_it, &call});
}

}  // namespace fallow::cuda
