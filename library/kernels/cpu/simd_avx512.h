// simd.h for AVX-512 (F, BW, DQ, VL) with VNNI and BF16: one register is 16 lanes.
#pragma once

// GCC's own header reads a variable before it is set, on purpose (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <cstdint>
#include <cstring>

#include "kernels/float_bits.h"

namespace fallow::FALLOW_ISA {
namespace {

struct Tiles {
  static constexpr int kSmallRows = 8;  // up to so many rows in one pass over the weights
  static constexpr int kSmallPanels = 2;
  static constexpr int kOnePanelRowsByte = 4;  // up to so many rows, one panel at a time
  static constexpr int kOnePanelRowsNibble = 2;
  static constexpr int kOnePanelRowsFloat = 2;
  static constexpr int kPanels = 2;
  static constexpr int kRows = 6;
  static constexpr int kPanelsFloat = 4;  // fp32 and bf16 weights
  static constexpr int kRowsFloat = 6;
  static constexpr int kAttentionRows = 6;
};

struct Ints {
  __m512i v;
};

struct Floats {
  __m512 v;
};

FALLOW_INLINE Floats Zero() { return {_mm512_setzero_ps()}; }
FALLOW_INLINE Floats Broadcast(float x) { return {_mm512_set1_ps(x)}; }
FALLOW_INLINE Ints BroadcastInt(std::int32_t x) { return {_mm512_set1_epi32(x)}; }

FALLOW_INLINE Floats Load(const float* p) { return {_mm512_loadu_ps(p)}; }
FALLOW_INLINE void Store(Floats x, float* p) { _mm512_storeu_ps(p, x.v); }

// The first `count` < 16 lanes; the others are zero, or not written.
FALLOW_INLINE __mmask16 FirstLanes(std::int64_t count) {
  return static_cast<__mmask16>((1u << count) - 1);
}
FALLOW_INLINE Floats LoadFirst(const float* p, std::int64_t count) {
  return {_mm512_maskz_loadu_ps(FirstLanes(count), p)};
}
FALLOW_INLINE void StoreFirst(Floats x, float* p, std::int64_t count) {
  _mm512_mask_storeu_ps(p, FirstLanes(count), x.v);
}

FALLOW_INLINE Floats LoadFp16(const void* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)))};
}
FALLOW_INLINE Floats LoadBf16(const void* p) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
FALLOW_INLINE Floats LoadInt8(const std::int8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))};
}

FALLOW_INLINE Floats operator+(Floats a, Floats b) { return {_mm512_add_ps(a.v, b.v)}; }
FALLOW_INLINE Floats operator-(Floats a, Floats b) { return {_mm512_sub_ps(a.v, b.v)}; }
FALLOW_INLINE Floats operator*(Floats a, Floats b) { return {_mm512_mul_ps(a.v, b.v)}; }
FALLOW_INLINE Floats operator/(Floats a, Floats b) { return {_mm512_div_ps(a.v, b.v)}; }
FALLOW_INLINE Floats Fma(Floats a, Floats b, Floats c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
FALLOW_INLINE Floats MulAdd(Floats a, Floats b, Floats c) { return Fma(a, b, c); }
FALLOW_INLINE Floats Abs(Floats x) { return {_mm512_abs_ps(x.v)}; }

// a > b ? a : b and a < b ? a : b.
FALLOW_INLINE Floats Max(Floats a, Floats b) { return {_mm512_max_ps(a.v, b.v)}; }
FALLOW_INLINE Floats Min(Floats a, Floats b) { return {_mm512_min_ps(a.v, b.v)}; }

// x >= limit ? value : 0, and x < limit ? below : value. False for a NaN.
FALLOW_INLINE Floats ZeroUnlessAtLeast(Floats x, Floats limit, Floats value) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.v, limit.v, _CMP_GE_OQ), value.v)};
}
FALLOW_INLINE Floats IfLess(Floats x, Floats limit, Floats below, Floats value) {
  return {_mm512_mask_mov_ps(value.v, _mm512_cmp_ps_mask(x.v, limit.v, _CMP_LT_OQ), below.v)};
}

// bits(x) + (bits(shifted) << 23): x * 2^n where n is in the low bits of `shifted`.
FALLOW_INLINE Floats AddToExponent(Floats x, Floats shifted) {
  const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted.v), 23);
  return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x.v), exponent))};
}

FALLOW_INLINE Ints RoundToInt(Floats x) { return {_mm512_cvtps_epi32(x.v)}; }  // nearest even
FALLOW_INLINE Floats ToFloat(Ints x) { return {_mm512_cvtepi32_ps(x.v)}; }
FALLOW_INLINE Ints operator+(Ints a, Ints b) { return {_mm512_add_epi32(a.v, b.v)}; }
FALLOW_INLINE Ints Max(Ints a, Ints b) { return {_mm512_max_epi32(a.v, b.v)}; }
FALLOW_INLINE std::int32_t SumLanes(Ints x) { return _mm512_reduce_add_epi32(x.v); }
FALLOW_INLINE std::int32_t MaxLane(Ints x) { return _mm512_reduce_max_epi32(x.v); }
FALLOW_INLINE void StoreInt8(Ints x, std::int8_t* p) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(x.v));
}

// The bits of |x|, which order as |x| does, NaN highest.
FALLOW_INLINE Ints AbsBits(Floats x) {
  return {_mm512_and_si512(_mm512_castps_si512(x.v), _mm512_set1_epi32(0x7fffffff))};
}

// Sums lanes as a tree: x[i] + x[i + 8], then + 4, 2, 1.
FALLOW_INLINE float TreeSum(Floats x) {
  const __m256 upper = _mm512_extractf32x8_ps(x.v, 1);
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x.v), upper);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
FALLOW_INLINE float MaxLane(Floats x) { return _mm512_reduce_max_ps(x.v); }

// To bf16 and back, to nearest even. A NaN stays one. Not by VCVTNEPS2BF16, which zeroes
// subnormals.
FALLOW_INLINE __m512i RoundedBf16Bits(Floats x) {
  const __m512i bits = _mm512_castps_si512(x.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __mmask16 is_nan = _mm512_cmp_ps_mask(x.v, x.v, _CMP_UNORD_Q);
  return _mm512_mask_or_epi32(rounded, is_nan, bits, _mm512_set1_epi32(0x400000));
}
FALLOW_INLINE Floats RoundToBf16(Floats x) {
  const __m512i mask = _mm512_set1_epi32(static_cast<int>(0xffff0000));
  return {_mm512_castsi512_ps(_mm512_and_si512(RoundedBf16Bits(x), mask))};
}
FALLOW_INLINE void StoreBf16(Floats x, std::uint16_t* p) {
  const __m512i bits = _mm512_srli_epi32(RoundedBf16Bits(x), 16);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(bits));
}

struct Slice {
  __m512i v;
};

FALLOW_INLINE Slice LoadSlice(const std::uint8_t* p) { return {_mm512_loadu_si512(p)}; }
FALLOW_INLINE Slice LowNibbles(Slice x) { return {_mm512_and_si512(x.v, _mm512_set1_epi8(15))}; }
FALLOW_INLINE Slice HighNibbles(Slice x) {
  return {_mm512_and_si512(_mm512_srli_epi16(x.v, 4), _mm512_set1_epi8(15))};
}
FALLOW_INLINE Slice LookUp(const std::uint8_t (&table)[16], Slice nibbles) {
  const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), nibbles.v)};
}

constexpr std::int32_t kByteBias = 0;

// sums[row] + the products of the slice's 4 unsigned bytes of that row with codes[0..3].
FALLOW_INLINE Ints DotBytes(Ints sums, Slice weights, const std::int8_t* codes) {
  std::int32_t four;
  std::memcpy(&four, codes, sizeof four);
  return {_mm512_dpbusd_epi32(sums.v, weights.v, _mm512_set1_epi32(four))};
}

// The same for bytes below 16, up to 32 of them a row; `correction` is added once, here or there.
using NibbleSums = Ints;
FALLOW_INLINE NibbleSums StartNibbles(std::int32_t correction) { return BroadcastInt(correction); }
FALLOW_INLINE NibbleSums DotNibbles(NibbleSums sums, Slice weights, const std::int8_t* codes) {
  return DotBytes(sums, weights, codes);
}
FALLOW_INLINE Ints FinishNibbles(NibbleSums sums, std::int32_t) { return sums; }

// sums[row] + the products of the slice's 2 bf16 of that row with x[0..1], in any rounding.
FALLOW_INLINE Floats DotBf16(Floats sums, Slice weights, const std::uint16_t* x) {
  std::int32_t pair;
  std::memcpy(&pair, x, sizeof pair);
  const __m512i pairs = _mm512_set1_epi32(pair);
  return {_mm512_dpbf16_ps(sums.v, reinterpret_cast<__m512bh>(weights.v),
                           reinterpret_cast<__m512bh>(pairs))};
}

FALLOW_INLINE Floats AsFloats(Slice x) { return {_mm512_castsi512_ps(x.v)}; }

FALLOW_INLINE void Prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1);
}
FALLOW_INLINE void PrefetchNear(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}

}  // namespace
}  // namespace fallow::FALLOW_ISA
