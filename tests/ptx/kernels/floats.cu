// Arithmetic and conversions of floats. results[triple][i] in the order of arithmetic_test.cc.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

extern "C" __global__ void Floats(const float* a, const float* b, const float* c, int n,
                                  std::uint32_t* results, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float x = a[i], y = b[i], z = c[i];
  std::uint32_t* out = results + i * count;
  *out++ = __float_as_uint(x + y);
  *out++ = __float_as_uint(x - y);
  *out++ = __float_as_uint(x * y);
  *out++ = __float_as_uint(x / y);
  *out++ = __float_as_uint(fmaf(x, y, z));
  *out++ = __float_as_uint(sqrtf(x));
  *out++ = __float_as_uint(1 / x);
  *out++ = __float_as_uint(fminf(x, y));
  *out++ = __float_as_uint(fmaxf(x, y));
  *out++ = __float_as_uint(-x);
  *out++ = __float_as_uint(fabsf(x));
  *out++ = (x < y) | (x <= y) << 1 | (x > y) << 2 | (x >= y) << 3 | (x == y) << 4 | (x != y) << 5;
  *out++ = __float_as_uint(static_cast<float>(static_cast<double>(x) * y));
  *out++ = __float_as_uint(__saturatef(x));
  *out++ = __float_as_uint(__fadd_rz(x, y));
  *out++ = __float_as_uint(__fsub_rd(x, y));
  *out++ = __float_as_uint(__fmul_ru(x, y));
  *out++ = __float_as_uint(__fmaf_rd(x, y, z));
  *out++ = __float_as_uint(__fmaf_rz(x, y, z));
}

extern "C" __global__ void Conversions(const float* a, const std::int32_t* b, int n,
                                       std::uint32_t* results, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float x = a[i];
  const std::int32_t k = b[i];
  std::uint32_t* out = results + i * count;
  *out++ = __float2int_rn(x);
  *out++ = __float2int_rz(x);
  *out++ = __float2int_rd(x);
  *out++ = __float2int_ru(x);
  *out++ = __float2uint_rz(x);
  *out++ = static_cast<std::uint32_t>(__float2ll_rz(x));
  *out++ = static_cast<std::uint32_t>(__float2ll_rz(x) >> 32);
  *out++ = __float_as_uint(static_cast<float>(k));
  *out++ = __float_as_uint(static_cast<float>(static_cast<std::uint32_t>(k)));
  *out++ = __float_as_uint(static_cast<float>(static_cast<std::int8_t>(k)));
  *out++ = __float_as_uint(rintf(x));
  *out++ = __float_as_uint(floorf(x));
  *out++ = __float_as_uint(truncf(x));
  *out++ = __half_as_ushort(__float2half_rn(x));
  *out++ = __bfloat16_as_ushort(__float2bfloat16_rn(x));
  *out++ = __float_as_uint(__half2float(__ushort_as_half(k)));
  *out++ = __float_as_uint(__bfloat162float(__ushort_as_bfloat16(k)));
}

// Both halves of a word of two 16-bit floats.
extern "C" __global__ void Halves(const std::uint32_t* a, const std::uint32_t* b,
                                  const std::uint32_t* c, int n, std::uint32_t* results,
                                  int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const __half2 x = *reinterpret_cast<const __half2*>(a + i);
  const __half2 y = *reinterpret_cast<const __half2*>(b + i);
  const __half2 z = *reinterpret_cast<const __half2*>(c + i);
  __half2* out = reinterpret_cast<__half2*>(results + i * count);
  *out++ = __hadd2(x, y);
  *out++ = __hmul2(x, y);
  *out++ = __hfma2(x, y, z);
  *out++ = __hmax2(x, y);
#if __CUDA_ARCH__ >= 800
  const __nv_bfloat162 p = *reinterpret_cast<const __nv_bfloat162*>(a + i);
  const __nv_bfloat162 q = *reinterpret_cast<const __nv_bfloat162*>(b + i);
  const __nv_bfloat162 r = *reinterpret_cast<const __nv_bfloat162*>(c + i);
  __nv_bfloat162* more = reinterpret_cast<__nv_bfloat162*>(out);
  *more++ = __hfma2(p, q, r);
  *more++ = __hmin2(p, q);
#endif
}

// Approximate on a device, so only near to what it should be.
extern "C" __global__ void Functions(const float* a, int n, float* results, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float x = a[i];
  float* out = results + i * count;
  *out++ = exp2f(x);
  *out++ = expf(x);
  *out++ = __log2f(fabsf(x));
  *out++ = rsqrtf(fabsf(x));
  *out++ = tanhf(x);
  *out++ = __fdividef(1, x);
  *out++ = __sinf(x);
  *out++ = __cosf(x);
}
