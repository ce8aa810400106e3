// The scalar arithmetic of the exact class ("exact-1"): by definition, the bits to reproduce.
//
// Each line is a list of single IEEE-754 operations, rounded to nearest even, subnormals kept; Fma
// is one rounding. Compile with -ffp-contract=off and never with -ffast-math. A change of any
// constant or order here is a new class with a new name.
#pragma once

#include <cstdint>

#include "kernels/float_bits.h"
#include "kernels/numeric.h"

namespace fallow::exact {

inline constexpr int kSegmentGroups = 16;  // groups summed in a row, from absolute k = 0
inline constexpr int kNormLanes = 128;     // partial sums of a norm
inline constexpr int kChunk = 128;         // positions of keys and values that attention merges

inline constexpr float kZeroBelow = 0x1p-60f;  // a group of smaller numbers is all zero
inline constexpr float kFailFrom = 0x1p40f;    // a group with such a number, or a NaN, has failed
inline constexpr float kNoNumber = __builtin_nanf("");

// 1.5 * 2^23: adding it rounds |x| < 2^22 to an integer, which is then in the low bits.
inline constexpr float kRounder = 12582912.0f;
inline constexpr std::int32_t kRounderBits = 0x4B400000;

inline constexpr float kExpMin = -87.0f;  // below, exp is 0: it is never subnormal
inline constexpr float kExpMax = 88.0f;   // above, exp(88): it is never infinite
inline constexpr float kLog2E = 0x1.715476p+0f;
inline constexpr float kLn2High = 0x1.62e4p-1f;  // 14 bits, so n * kLn2High is exact
inline constexpr float kLn2Low = 0x1.7f7d1cp-20f;
// exp(r) for |r| <= ln(2) / 2 is 1 + r + r^2 * (kExp2 + r * (kExp3 + …)).
inline constexpr float kExp2 = 0x1.fffffcp-2f;
inline constexpr float kExp3 = 0x1.555490p-3f;
inline constexpr float kExp4 = 0x1.5558f4p-5f;
inline constexpr float kExp5 = 0x1.123a6cp-7f;
inline constexpr float kExp6 = 0x1.6a2386p-10f;

static FALLOW_INLINE float Fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

static FALLOW_INLINE float Sqrt(float x) { return __builtin_sqrtf(x); }

static FALLOW_INLINE float Max(float a, float b) { return a > b ? a : b; }

// Within 0.91 units in the last place on [-87, 88].
static FALLOW_INLINE float Exp(float x) {
  if (!(x >= kExpMin)) return 0.0f;
  const float clamped = x < kExpMax ? x : kExpMax;
  const float shifted = Fma(clamped, kLog2E, kRounder);
  const float n = shifted - kRounder;
  float r = Fma(n, -kLn2High, clamped);
  r = Fma(n, -kLn2Low, r);
  float p = kExp6;
  p = Fma(p, r, kExp5);
  p = Fma(p, r, kExp4);
  p = Fma(p, r, kExp3);
  p = Fma(p, r, kExp2);
  p = Fma(p, r, 1.0f);
  p = Fma(p, r, 1.0f);
  return FloatOf(BitsOf(p) + (BitsOf(shifted) << 23));
}

static FALLOW_INLINE float Silu(float x) { return x / (1.0f + Exp(-x)); }

static FALLOW_INLINE float Tanh(float x) { return 1.0f - 2.0f / (1.0f + Exp(x + x)); }

// 0.5 x (1 + tanh(u / 2)) = x / (1 + exp(-u)), u = 2 sqrt(2 / pi) (x + 0.044715 x^3).
static FALLOW_INLINE float GeluTanh(float x) {
  const float cube = (x * x) * x;
  const float u = Fma(cube, 0.044715f, x) * 1.5957691216f;
  return x / (1.0f + Exp(-u));
}

// erf by Abramowitz and Stegun, 1964, formula 7.1.26.
inline constexpr float kErfP = 0.3275911f;
inline constexpr float kErf1 = 0.254829592f;
inline constexpr float kErf2 = -0.284496736f;
inline constexpr float kErf3 = 1.421413741f;
inline constexpr float kErf4 = -1.453152027f;
inline constexpr float kErf5 = 1.061405429f;
inline constexpr float kSqrtHalf = 0.70710678f;

static FALLOW_INLINE float GeluErf(float x) {
  const float a = __builtin_fabsf(x) * kSqrtHalf;
  const float t = 1.0f / Fma(kErfP, a, 1.0f);
  float p = kErf5;
  p = Fma(p, t, kErf4);
  p = Fma(p, t, kErf3);
  p = Fma(p, t, kErf2);
  p = Fma(p, t, kErf1);
  const float upper = p * t * Exp(-(a * a)) * 0.5f;  // of the normal distribution, beyond |x|
  return x * (x < 0.0f ? upper : 1.0f - upper);
}

// What a group of 32 numbers becomes beside its codes: x is about scale * code.
struct GroupScale {
  float scale = 0;
  std::int32_t sum = 0;  // of the codes
};

enum class ScaleFormat {
  kFp32,  // activations
  kBf16,  // keys and values; the codes are made with the rounded scale
};

struct ScaleAndInverse {
  float scale;
  float inverse;
};

static FALLOW_INLINE ScaleAndInverse ScaleOf(float largest, ScaleFormat format) {
  const float scale = largest / 127.0f;
  if (format == ScaleFormat::kFp32) return {scale, 127.0f / largest};
  const float rounded = FloatFromBf16(Bf16FromFloat(scale));
  return {rounded, 1.0f / rounded};
}

// x, codes [kGroup]. A group with a NaN or |x| >= kFailFrom gets codes 0 and scale NaN.
static FALLOW_INLINE GroupScale QuantiseGroup(const float* x, ScaleFormat format,
                                              std::int8_t* codes) {
  std::uint32_t largest_bits = 0;  // non-negative floats compare as their bits do, NaN highest
  for (int i = 0; i < kGroup; ++i) {
    const std::uint32_t bits = BitsOf(x[i]) & 0x7fffffff;
    if (bits > largest_bits) largest_bits = bits;
    codes[i] = 0;
  }
  if (largest_bits >= BitsOf(kFailFrom)) return {kNoNumber, 0};
  if (largest_bits < BitsOf(kZeroBelow)) return {0.0f, 0};
  const auto [scale, inverse] = ScaleOf(FloatOf(largest_bits), format);
  std::int32_t sum = 0;
  for (int i = 0; i < kGroup; ++i) {
    const float rounded = x[i] * inverse + kRounder;
    const std::int32_t code = static_cast<std::int32_t>(BitsOf(rounded)) - kRounderBits;
    codes[i] = static_cast<std::int8_t>(code);
    sum += code;
  }
  return {scale, sum};
}

}  // namespace fallow::exact
