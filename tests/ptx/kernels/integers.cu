// Integer arithmetic and bits of each pair of numbers. results[pair][i] in the order of
// arithmetic_test.cc.
#include <cstdint>

extern "C" __global__ void Integers(const std::int32_t* a, const std::int32_t* b, int n,
                                    std::int32_t* results, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const std::int32_t x = a[i], y = b[i];
  const std::uint32_t u = x, v = y;
  std::int32_t* out = results + i * count;
  *out++ = u + v;
  *out++ = u - v;
  *out++ = u * v;
  *out++ = __mulhi(x, y);
  *out++ = __umulhi(u, v);
  *out++ = y == 0 || y == -1 ? 0 : x / y;
  *out++ = y == 0 || y == -1 ? 0 : x % y;
  *out++ = v == 0 ? 0 : u / v;
  *out++ = v == 0 ? 0 : u % v;
  *out++ = min(x, y);
  *out++ = max(u, v);
  *out++ = x < 0 ? 0u - u : u;
  *out++ = x >> (v & 31);
  *out++ = u >> (v & 31);
  *out++ = u << (v & 31);
  *out++ = (u & v) ^ (u | ~v);
  *out++ = __clz(x);
  *out++ = __popc(u);
  *out++ = __brev(u);
  *out++ = __funnelshift_l(u, v, 11);
  *out++ = __funnelshift_r(u, v, x);
  *out++ = __byte_perm(u, v, 0x3614);
  *out++ = __byte_perm(u, v, v & 0xffff);
  *out++ = __dp4a(x, y, 7);
  *out++ = __dp4a(u, v, 7u);
  *out++ = static_cast<std::int16_t>(x) * static_cast<std::int16_t>(y);
  *out++ = static_cast<std::int8_t>(x) + static_cast<std::uint8_t>(y);
  *out++ = u >> 5 & 0x7f;
  *out++ = x << 20 >> 24;
}

// 64 bits, among them what has a 32-bit product.
extern "C" __global__ void LongIntegers(const std::int64_t* a, const std::int64_t* b, int n,
                                        std::int64_t* results, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const std::int64_t x = a[i], y = b[i];
  const std::uint64_t u = x, v = y;
  std::int64_t* out = results + i * count;
  *out++ = u + v;
  *out++ = u - v;
  *out++ = u * v;
  *out++ = __mul64hi(x, y);
  *out++ = __umul64hi(u, v);
  *out++ = y == 0 || y == -1 ? 0 : x / y;
  *out++ = v == 0 ? 0 : u % v;
  *out++ = x >> (v & 63);
  *out++ = u << (v & 63);
  *out++ = min(x, y);
  *out++ = __clzll(x) * 100 + __popcll(u);
  *out++ =
      static_cast<std::int64_t>(static_cast<std::int32_t>(x)) * static_cast<std::int32_t>(y) + y;
  *out++ =
      static_cast<std::uint64_t>(static_cast<std::uint32_t>(x)) * static_cast<std::uint32_t>(y);
}
