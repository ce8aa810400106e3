// The device side of portable.cuh: CUDA, and all of our inline PTX. From sm_75 on, which has
// neither copies in the background nor mma of 32 int8: others do the same there.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace fallow::cuda {

__device__ __forceinline__ float FloatFromFp16(std::uint16_t bits) {
  return __half2float(__ushort_as_half(bits));
}

__device__ __forceinline__ std::uint32_t Load4(const void* p) {
  return *static_cast<const std::uint32_t*>(p);
}
__device__ __forceinline__ uint2 Load8(const void* p) { return *static_cast<const uint2*>(p); }
__device__ __forceinline__ uint4 Load16(const void* p) { return *static_cast<const uint4*>(p); }
__device__ __forceinline__ void Store16(void* p, uint4 value) { *static_cast<uint4*>(p) = value; }

// The block's dynamic shared memory, of which the launch gives at least sizeof(T).
template <typename T>
__device__ __forceinline__ T& SharedStorage() {
  extern __shared__ __align__(128) unsigned char fallow_shared_memory[];
  return *reinterpret_cast<T*>(fallow_shared_memory);
}

__device__ __forceinline__ std::uint32_t SharedAddress(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}

// Copies 16 bytes from global to shared memory in the background. Where !valid it writes zeros and
// does not read `from`. What was copied may be read after WaitForCopies and a barrier.
__device__ __forceinline__ void CopyAsync16(void* to, const void* from, bool valid = true) {
#if __CUDA_ARCH__ < 800
  Store16(to, valid ? Load16(from) : uint4{});
#else
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(SharedAddress(to)),
               "l"(from), "r"(valid ? 16 : 0)
               : "memory");
#endif
}

// Ends a group of copies, which may be empty.
__device__ __forceinline__ void CommitCopies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
}

// Waits until all but the last kGroups groups of this thread's copies are done.
template <int kGroups>
__device__ __forceinline__ void WaitForCopies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kGroups) : "memory");
#endif
}

// Four 8x8 matrices of 16-bit numbers from shared memory: lane 8 i + j names row j of matrix i, and
// gets in r[i] the numbers 2 (lane % 4) and the next of row lane / 4, or of that column.
__device__ __forceinline__ void LoadMatrices(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(SharedAddress(row))
               : "memory");
}
__device__ __forceinline__ void LoadMatricesTransposed(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(SharedAddress(row))
               : "memory");
}

#if __CUDA_ARCH__ < 800
__device__ __forceinline__ void MultiplyAddInt8Small(std::int32_t& d0, std::int32_t& d1,
                                                     std::uint32_t a, std::uint32_t b) {
  asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};\n"
               : "+r"(d0), "+r"(d1)
               : "r"(a), "r"(b));
}
#endif

// d += a b by the tensor cores, a [16, 16] in rows and b [16, 8] in columns; fragments as in the
// PTX ISA, mma.m16n8k16. bf16: from compute capability 8.0 on.
__device__ __forceinline__ void MultiplyAddBf16(float (&d)[4], const std::uint32_t (&a)[4],
                                                const std::uint32_t (&b)[2]) {
#if __CUDA_ARCH__ < 800
  __trap();
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}
__device__ __forceinline__ void MultiplyAddFp16(float (&d)[4], const std::uint32_t (&a)[4],
                                                const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// The same with a [16, 32] and b [32, 8] of signed bytes, and exact: mma.m16n8k32.
__device__ __forceinline__ void MultiplyAddInt8(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                                                const std::uint32_t (&b)[2]) {
#if __CUDA_ARCH__ < 800
  MultiplyAddInt8Small(d[0], d[1], a[0], b[0]);
  MultiplyAddInt8Small(d[0], d[1], a[2], b[1]);
  MultiplyAddInt8Small(d[2], d[3], a[1], b[0]);
  MultiplyAddInt8Small(d[2], d[3], a[3], b[1]);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Of the current device: 75 for 7.5.
inline int ComputeCapability() {
  int device = 0, major = 0, minor = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  return 10 * major + minor;
}

struct LaunchShape {
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
};

// Enqueues kernel<<<shape>>>(arguments...).
template <typename... Parameters>
cudaError_t Launch(void (*kernel)(Parameters...), const LaunchShape& shape,
                   std::type_identity_t<Parameters>... arguments) {
  constexpr std::size_t kAlwaysGranted = 48 * 1024;
  const void* function = reinterpret_cast<const void*>(kernel);
  if (shape.shared_bytes > kAlwaysGranted) {
    const cudaError_t error =
        cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shape.shared_bytes));
    if (error != cudaSuccess) return error;
  }
  void* pointers[] = {static_cast<void*>(&arguments)...};
  return cudaLaunchKernel(function, shape.grid, shape.block, pointers, shape.shared_bytes,
                          shape.stream);
}

}  // namespace fallow::cuda
