// simd.h for AVX2, FMA and F16C, with AVX-VNNI where the unit is compiled for it: two registers are
// 16 lanes.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/float_bits.h"

namespace fallow::FALLOW_ISA {
namespace {

struct Tiles {
  static constexpr int kSmallRows = 4;  // up to so many rows in one pass over the weights
  static constexpr int kSmallPanels = 1;
  static constexpr int kOnePanelRowsByte = 4;  // up to so many rows, one panel at a time
  static constexpr int kOnePanelRowsNibble = 4;
  static constexpr int kOnePanelRowsFloat = 4;
  static constexpr int kPanels = 1;
  static constexpr int kRows = 2;
  static constexpr int kPanelsFloat = 1;  // fp32 and bf16 weights
  static constexpr int kRowsFloat = 4;
  static constexpr int kAttentionRows = 2;
};

struct Ints {
  __m256i low;
  __m256i high;
};

struct Floats {
  __m256 low;
  __m256 high;
};

FALLOW_INLINE Floats Zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
FALLOW_INLINE Floats Broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
FALLOW_INLINE Ints BroadcastInt(std::int32_t x) {
  return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}

FALLOW_INLINE Floats Load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
FALLOW_INLINE void Store(Floats x, float* p) {
  _mm256_storeu_ps(p, x.low);
  _mm256_storeu_ps(p + 8, x.high);
}

// The first `count` < 16 lanes; the others are zero, or not written.
FALLOW_INLINE Floats LoadFirst(const float* p, std::int64_t count) {
  float lanes[16] = {};
  std::memcpy(lanes, p, sizeof(float) * static_cast<std::size_t>(count));
  return Load(lanes);
}
FALLOW_INLINE void StoreFirst(Floats x, float* p, std::int64_t count) {
  float lanes[16];
  Store(x, lanes);
  std::memcpy(p, lanes, sizeof(float) * static_cast<std::size_t>(count));
}

FALLOW_INLINE Floats LoadFp16(const void* p) {
  const __m128i* halves = static_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
}
FALLOW_INLINE __m256 WidenBf16(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
FALLOW_INLINE Floats LoadBf16(const void* p) {
  const __m128i* halves = static_cast<const __m128i*>(p);
  return {WidenBf16(_mm_loadu_si128(halves)), WidenBf16(_mm_loadu_si128(halves + 1))};
}
FALLOW_INLINE __m256 WidenInt8(const std::int8_t* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}
FALLOW_INLINE Floats LoadInt8(const std::int8_t* p) { return {WidenInt8(p), WidenInt8(p + 8)}; }

FALLOW_INLINE Floats operator+(Floats a, Floats b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
FALLOW_INLINE Floats operator-(Floats a, Floats b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
FALLOW_INLINE Floats operator*(Floats a, Floats b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
FALLOW_INLINE Floats operator/(Floats a, Floats b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
FALLOW_INLINE Floats Fma(Floats a, Floats b, Floats c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
FALLOW_INLINE Floats MulAdd(Floats a, Floats b, Floats c) { return Fma(a, b, c); }
FALLOW_INLINE Floats Abs(Floats x) {
  const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  return {_mm256_and_ps(x.low, mask), _mm256_and_ps(x.high, mask)};
}

// a > b ? a : b and a < b ? a : b.
FALLOW_INLINE Floats Max(Floats a, Floats b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
FALLOW_INLINE Floats Min(Floats a, Floats b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}

// x >= limit ? value : 0, and x < limit ? below : value. False for a NaN.
FALLOW_INLINE Floats ZeroUnlessAtLeast(Floats x, Floats limit, Floats value) {
  return {_mm256_and_ps(value.low, _mm256_cmp_ps(x.low, limit.low, _CMP_GE_OQ)),
          _mm256_and_ps(value.high, _mm256_cmp_ps(x.high, limit.high, _CMP_GE_OQ))};
}
FALLOW_INLINE Floats IfLess(Floats x, Floats limit, Floats below, Floats value) {
  const __m256 low = _mm256_cmp_ps(x.low, limit.low, _CMP_LT_OQ);
  const __m256 high = _mm256_cmp_ps(x.high, limit.high, _CMP_LT_OQ);
  return {_mm256_blendv_ps(value.low, below.low, low),
          _mm256_blendv_ps(value.high, below.high, high)};
}

// bits(x) + (bits(shifted) << 23): x * 2^n where n is in the low bits of `shifted`.
FALLOW_INLINE __m256 AddToExponent(__m256 x, __m256 shifted) {
  const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), exponent));
}
FALLOW_INLINE Floats AddToExponent(Floats x, Floats shifted) {
  return {AddToExponent(x.low, shifted.low), AddToExponent(x.high, shifted.high)};
}

FALLOW_INLINE Ints RoundToInt(Floats x) {  // nearest even
  return {_mm256_cvtps_epi32(x.low), _mm256_cvtps_epi32(x.high)};
}
FALLOW_INLINE Floats ToFloat(Ints x) {
  return {_mm256_cvtepi32_ps(x.low), _mm256_cvtepi32_ps(x.high)};
}
FALLOW_INLINE Ints operator+(Ints a, Ints b) {
  return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
}
FALLOW_INLINE Ints Max(Ints a, Ints b) {
  return {_mm256_max_epi32(a.low, b.low), _mm256_max_epi32(a.high, b.high)};
}
FALLOW_INLINE std::int32_t SumLanes(Ints x) {
  const __m256i eight = _mm256_add_epi32(x.low, x.high);
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
  return _mm_cvtsi128_si32(four);
}
FALLOW_INLINE std::int32_t MaxLane(Ints x) {
  const __m256i eight = _mm256_max_epi32(x.low, x.high);
  __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1));
  return _mm_cvtsi128_si32(four);
}
FALLOW_INLINE void StoreInt8(Ints x, std::int8_t* p) {
  // packs works within halves of a register: put the quarters in order between the two.
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.low, x.high), 0xd8);
  const __m128i bytes =
      _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
}

// The bits of |x|, which order as |x| does, NaN highest.
FALLOW_INLINE Ints AbsBits(Floats x) {
  const Floats absolute = Abs(x);
  return {_mm256_castps_si256(absolute.low), _mm256_castps_si256(absolute.high)};
}

// Sums lanes as a tree: x[i] + x[i + 8], then + 4, 2, 1.
FALLOW_INLINE float TreeSum(Floats x) {
  const __m256 eight = _mm256_add_ps(x.low, x.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
FALLOW_INLINE float MaxLane(Floats x) {
  const __m256 eight = _mm256_max_ps(x.low, x.high);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// To bf16 and back, to nearest even. A NaN stays one.
FALLOW_INLINE __m256i RoundedBf16Bits(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(rounded, quiet, is_nan);
}
FALLOW_INLINE Floats RoundToBf16(Floats x) {
  const __m256i mask = _mm256_set1_epi32(static_cast<int>(0xffff0000));
  return {_mm256_castsi256_ps(_mm256_and_si256(RoundedBf16Bits(x.low), mask)),
          _mm256_castsi256_ps(_mm256_and_si256(RoundedBf16Bits(x.high), mask))};
}
FALLOW_INLINE void StoreBf16(Floats x, std::uint16_t* p) {
  const __m256i low = _mm256_srli_epi32(RoundedBf16Bits(x.low), 16);
  const __m256i high = _mm256_srli_epi32(RoundedBf16Bits(x.high), 16);
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), words);
}

struct Slice {
  __m256i low;
  __m256i high;
};

FALLOW_INLINE Slice LoadSlice(const std::uint8_t* p) {
  const __m256i* halves = reinterpret_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)};
}
FALLOW_INLINE Slice LowNibbles(Slice x) {
  const __m256i mask = _mm256_set1_epi8(15);
  return {_mm256_and_si256(x.low, mask), _mm256_and_si256(x.high, mask)};
}
FALLOW_INLINE Slice HighNibbles(Slice x) {
  return LowNibbles({_mm256_srli_epi16(x.low, 4), _mm256_srli_epi16(x.high, 4)});
}
FALLOW_INLINE Slice LookUp(const std::uint8_t (&table)[16], Slice nibbles) {
  const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  const __m256i both = _mm256_broadcastsi128_si256(entries);
  return {_mm256_shuffle_epi8(both, nibbles.low), _mm256_shuffle_epi8(both, nibbles.high)};
}

FALLOW_INLINE __m256i BroadcastFour(const std::int8_t* codes) {
  std::int32_t four;
  std::memcpy(&four, codes, sizeof four);
  return _mm256_set1_epi32(four);
}

constexpr std::int32_t kByteBias = 0;

#ifdef __AVXVNNI__

// sums[row] + the products of the slice's 4 unsigned bytes of that row with codes[0..3].
FALLOW_INLINE Ints DotBytes(Ints sums, Slice weights, const std::int8_t* codes) {
  const __m256i four = BroadcastFour(codes);
  return {_mm256_dpbusd_avx_epi32(sums.low, weights.low, four),
          _mm256_dpbusd_avx_epi32(sums.high, weights.high, four)};
}

// The same for bytes below 16, up to 32 of them a row; `correction` is added once, here or there.
using NibbleSums = Ints;
FALLOW_INLINE NibbleSums StartNibbles(std::int32_t correction) { return BroadcastInt(correction); }
FALLOW_INLINE NibbleSums DotNibbles(NibbleSums sums, Slice weights, const std::int8_t* codes) {
  return DotBytes(sums, weights, codes);
}
FALLOW_INLINE Ints FinishNibbles(NibbleSums sums, std::int32_t) { return sums; }

#else

// By words, even bytes and odd bytes apart: _mm256_maddubs_epi16 would saturate.
FALLOW_INLINE __m256i DotBytes(__m256i sums, __m256i weights, __m256i even, __m256i odd) {
  const __m256i even_weights = _mm256_and_si256(weights, _mm256_set1_epi16(255));
  const __m256i odd_weights = _mm256_srli_epi16(weights, 8);
  sums = _mm256_add_epi32(sums, _mm256_madd_epi16(even_weights, even));
  return _mm256_add_epi32(sums, _mm256_madd_epi16(odd_weights, odd));
}

// sums[row] + the products of the slice's 4 unsigned bytes of that row with codes[0..3].
FALLOW_INLINE Ints DotBytes(Ints sums, Slice weights, const std::int8_t* codes) {
  const __m256i four = BroadcastFour(codes);
  const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(four, 8), 8);
  const __m256i odd = _mm256_srai_epi16(four, 8);
  return {DotBytes(sums.low, weights.low, even, odd), DotBytes(sums.high, weights.high, even, odd)};
}

// The same for bytes below 16, up to 32 of them a row; `correction` is added once, here or there.
// A word sums 16 products of a group: 16 * 15 * 127 fits, so a group is widened only once.
struct NibbleSums {
  __m256i low;
  __m256i high;
};
FALLOW_INLINE NibbleSums StartNibbles(std::int32_t) {
  return {_mm256_setzero_si256(), _mm256_setzero_si256()};
}
FALLOW_INLINE NibbleSums DotNibbles(NibbleSums sums, Slice weights, const std::int8_t* codes) {
  const __m256i four = BroadcastFour(codes);
  return {_mm256_add_epi16(sums.low, _mm256_maddubs_epi16(weights.low, four)),
          _mm256_add_epi16(sums.high, _mm256_maddubs_epi16(weights.high, four))};
}
FALLOW_INLINE Ints FinishNibbles(NibbleSums sums, std::int32_t correction) {
  const __m256i one = _mm256_set1_epi16(1);
  const Ints wide = {_mm256_madd_epi16(sums.low, one), _mm256_madd_epi16(sums.high, one)};
  return wide + BroadcastInt(correction);
}

#endif

// sums[row] + the products of the slice's 2 bf16 of that row with x[0..1], in any rounding.
FALLOW_INLINE Floats DotBf16(Floats sums, Slice weights, const std::uint16_t* x) {
  const __m256i mask = _mm256_set1_epi32(static_cast<int>(0xffff0000));
  const Floats even = {_mm256_castsi256_ps(_mm256_slli_epi32(weights.low, 16)),
                       _mm256_castsi256_ps(_mm256_slli_epi32(weights.high, 16))};
  const Floats odd = {_mm256_castsi256_ps(_mm256_and_si256(weights.low, mask)),
                      _mm256_castsi256_ps(_mm256_and_si256(weights.high, mask))};
  sums = Fma(even, Broadcast(FloatFromBf16(x[0])), sums);
  return Fma(odd, Broadcast(FloatFromBf16(x[1])), sums);
}

FALLOW_INLINE Floats AsFloats(Slice x) {
  return {_mm256_castsi256_ps(x.low), _mm256_castsi256_ps(x.high)};
}

FALLOW_INLINE void Prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1);
}
FALLOW_INLINE void PrefetchNear(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}

}  // namespace
}  // namespace fallow::FALLOW_ISA
