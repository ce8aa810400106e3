// simd.h for AArch64: four registers are 16 lanes. `neon` is what each such processor has,
// `neondot` adds SDOT, `neoni8mm` USDOT and BFDOT.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "kernels/float_bits.h"

namespace fallow::FALLOW_ISA {
namespace {

// Chosen by counting the 32 registers: these kernels were tested under emulation, which says
// nothing of speed.
struct Tiles {
  static constexpr int kSmallRows = 4;  // up to so many rows in one pass over the weights
  static constexpr int kSmallPanels = 1;
  static constexpr int kOnePanelRowsByte = 4;  // up to so many rows, one panel at a time
  static constexpr int kOnePanelRowsNibble = 4;
  static constexpr int kOnePanelRowsFloat = 4;
  static constexpr int kPanels = 1;
#ifdef __ARM_FEATURE_DOTPROD
  static constexpr int kRows = 4;
#else
  static constexpr int kRows = 2;  // NibbleSums takes twice as many registers
#endif
  static constexpr int kPanelsFloat = 1;  // fp32 and bf16 weights
  static constexpr int kRowsFloat = 4;
  static constexpr int kAttentionRows = 2;
};

struct Ints {
  int32x4_t v[4];
};

struct Floats {
  float32x4_t v[4];
};

// {f(0), …, f(3)}
template <typename Lanes, typename Function>
FALLOW_INLINE Lanes EachQuarter(Function f) {
  return {{f(0), f(1), f(2), f(3)}};
}

FALLOW_INLINE Floats Broadcast(float x) {
  return EachQuarter<Floats>([&](int) { return vdupq_n_f32(x); });
}
FALLOW_INLINE Floats Zero() { return Broadcast(0.0f); }
FALLOW_INLINE Ints BroadcastInt(std::int32_t x) {
  return EachQuarter<Ints>([&](int) { return vdupq_n_s32(x); });
}

FALLOW_INLINE Floats Load(const float* p) {
  return EachQuarter<Floats>([&](int i) { return vld1q_f32(p + 4 * i); });
}
FALLOW_INLINE void Store(Floats x, float* p) {
  FALLOW_UNROLL for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, x.v[i]);
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

FALLOW_INLINE uint16x4_t LoadWords(const void* p, int quarter) {
  return vld1_u16(static_cast<const std::uint16_t*>(p) + 4 * quarter);
}
FALLOW_INLINE Floats LoadFp16(const void* p) {
  return EachQuarter<Floats>(
      [&](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(LoadWords(p, i))); });
}
FALLOW_INLINE Floats LoadBf16(const void* p) {
  return EachQuarter<Floats>(
      [&](int i) { return vreinterpretq_f32_u32(vshll_n_u16(LoadWords(p, i), 16)); });
}
FALLOW_INLINE Floats LoadInt8(const std::int8_t* p) {
  const int8x16_t bytes = vld1q_s8(p);
  const int16x8_t low = vmovl_s8(vget_low_s8(bytes));
  const int16x8_t high = vmovl_high_s8(bytes);
  return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_high_s16(low)),
           vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_high_s16(high))}};
}

FALLOW_INLINE Floats operator+(Floats a, Floats b) {
  return EachQuarter<Floats>([&](int i) { return vaddq_f32(a.v[i], b.v[i]); });
}
FALLOW_INLINE Floats operator-(Floats a, Floats b) {
  return EachQuarter<Floats>([&](int i) { return vsubq_f32(a.v[i], b.v[i]); });
}
FALLOW_INLINE Floats operator*(Floats a, Floats b) {
  return EachQuarter<Floats>([&](int i) { return vmulq_f32(a.v[i], b.v[i]); });
}
FALLOW_INLINE Floats operator/(Floats a, Floats b) {
  return EachQuarter<Floats>([&](int i) { return vdivq_f32(a.v[i], b.v[i]); });
}
FALLOW_INLINE Floats Fma(Floats a, Floats b, Floats c) {
  return EachQuarter<Floats>([&](int i) { return vfmaq_f32(c.v[i], a.v[i], b.v[i]); });
}
FALLOW_INLINE Floats MulAdd(Floats a, Floats b, Floats c) { return Fma(a, b, c); }
FALLOW_INLINE Floats Abs(Floats x) {
  return EachQuarter<Floats>([&](int i) { return vabsq_f32(x.v[i]); });
}

// a > b ? a : b and a < b ? a : b, which FMAX and FMIN are not for a NaN and for zeros.
FALLOW_INLINE float32x4_t Max(float32x4_t a, float32x4_t b) {
  return vbslq_f32(vcgtq_f32(a, b), a, b);
}
FALLOW_INLINE Floats Max(Floats a, Floats b) {
  return EachQuarter<Floats>([&](int i) { return Max(a.v[i], b.v[i]); });
}
FALLOW_INLINE Floats Min(Floats a, Floats b) {
  return EachQuarter<Floats>(
      [&](int i) { return vbslq_f32(vcltq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]); });
}

// x >= limit ? value : 0, and x < limit ? below : value. False for a NaN.
FALLOW_INLINE Floats ZeroUnlessAtLeast(Floats x, Floats limit, Floats value) {
  return EachQuarter<Floats>([&](int i) {
    return vbslq_f32(vcgeq_f32(x.v[i], limit.v[i]), value.v[i], vdupq_n_f32(0.0f));
  });
}
FALLOW_INLINE Floats IfLess(Floats x, Floats limit, Floats below, Floats value) {
  return EachQuarter<Floats>(
      [&](int i) { return vbslq_f32(vcltq_f32(x.v[i], limit.v[i]), below.v[i], value.v[i]); });
}

// bits(x) + (bits(shifted) << 23): x * 2^n where n is in the low bits of `shifted`.
FALLOW_INLINE Floats AddToExponent(Floats x, Floats shifted) {
  return EachQuarter<Floats>([&](int i) {
    const uint32x4_t exponent = vshlq_n_u32(vreinterpretq_u32_f32(shifted.v[i]), 23);
    return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(x.v[i]), exponent));
  });
}

FALLOW_INLINE Ints RoundToInt(Floats x) {  // nearest even
  return EachQuarter<Ints>([&](int i) { return vcvtnq_s32_f32(x.v[i]); });
}
FALLOW_INLINE Floats ToFloat(Ints x) {
  return EachQuarter<Floats>([&](int i) { return vcvtq_f32_s32(x.v[i]); });
}
FALLOW_INLINE Ints operator+(Ints a, Ints b) {
  return EachQuarter<Ints>([&](int i) { return vaddq_s32(a.v[i], b.v[i]); });
}
FALLOW_INLINE Ints Max(Ints a, Ints b) {
  return EachQuarter<Ints>([&](int i) { return vmaxq_s32(a.v[i], b.v[i]); });
}
FALLOW_INLINE std::int32_t SumLanes(Ints x) {
  return vaddvq_s32(vaddq_s32(vaddq_s32(x.v[0], x.v[1]), vaddq_s32(x.v[2], x.v[3])));
}
FALLOW_INLINE std::int32_t MaxLane(Ints x) {
  return vmaxvq_s32(vmaxq_s32(vmaxq_s32(x.v[0], x.v[1]), vmaxq_s32(x.v[2], x.v[3])));
}
FALLOW_INLINE void StoreInt8(Ints x, std::int8_t* p) {
  const int16x8_t low = vcombine_s16(vmovn_s32(x.v[0]), vmovn_s32(x.v[1]));
  const int16x8_t high = vcombine_s16(vmovn_s32(x.v[2]), vmovn_s32(x.v[3]));
  vst1q_s8(p, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
}

// The bits of |x|, which order as |x| does, NaN highest.
FALLOW_INLINE Ints AbsBits(Floats x) {
  const Floats absolute = Abs(x);
  return EachQuarter<Ints>([&](int i) { return vreinterpretq_s32_f32(absolute.v[i]); });
}

// Sums lanes as a tree: x[i] + x[i + 8], then + 4, 2, 1.
FALLOW_INLINE float TreeSum(Floats x) {
  const float32x4_t four = vaddq_f32(vaddq_f32(x.v[0], x.v[2]), vaddq_f32(x.v[1], x.v[3]));
  return vpadds_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)));
}
FALLOW_INLINE float MaxLane(Floats x) {
  const float32x4_t four = Max(Max(x.v[0], x.v[2]), Max(x.v[1], x.v[3]));
  const float32x4_t two = Max(four, vextq_f32(four, four, 2));
  return vgetq_lane_f32(Max(two, vextq_f32(two, two, 1)), 0);
}

// To bf16 and back, to nearest even. A NaN stays one.
FALLOW_INLINE uint32x4_t RoundedBf16Bits(float32x4_t x) {
  const uint32x4_t bits = vreinterpretq_u32_f32(x);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
  const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
  return vbslq_u32(vceqq_f32(x, x), rounded, quiet);
}
FALLOW_INLINE Floats RoundToBf16(Floats x) {
  return EachQuarter<Floats>([&](int i) {
    return vreinterpretq_f32_u32(vandq_u32(RoundedBf16Bits(x.v[i]), vdupq_n_u32(0xffff0000)));
  });
}
FALLOW_INLINE void StoreBf16(Floats x, std::uint16_t* p) {
  FALLOW_UNROLL for (int i = 0; i < 4; ++i) {
    vst1_u16(p + 4 * i, vshrn_n_u32(RoundedBf16Bits(x.v[i]), 16));
  }
}

struct Slice {
  uint8x16_t v[4];
};

FALLOW_INLINE Slice LoadSlice(const std::uint8_t* p) {
  return EachQuarter<Slice>([&](int i) { return vld1q_u8(p + 16 * i); });
}
FALLOW_INLINE Slice LowNibbles(Slice x) {
  return EachQuarter<Slice>([&](int i) { return vandq_u8(x.v[i], vdupq_n_u8(15)); });
}
FALLOW_INLINE Slice HighNibbles(Slice x) {
  return EachQuarter<Slice>([&](int i) { return vshrq_n_u8(x.v[i], 4); });
}
FALLOW_INLINE Slice LookUp(const std::uint8_t (&table)[16], Slice nibbles) {
  const uint8x16_t entries = vld1q_u8(table);
  return EachQuarter<Slice>([&](int i) { return vqtbl1q_u8(entries, nibbles.v[i]); });
}

FALLOW_INLINE int8x16_t BroadcastFour(const std::int8_t* codes) {
  std::int32_t four;
  std::memcpy(&four, codes, sizeof four);
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

#ifdef __ARM_FEATURE_MATMUL_INT8

constexpr std::int32_t kByteBias = 0;
FALLOW_INLINE int32x4_t DotBytes(int32x4_t sums, uint8x16_t weights, int8x16_t four) {
  return vusdotq_s32(sums, weights, four);
}

#else

// Only signed bytes can be multiplied with signed bytes.
constexpr std::int32_t kByteBias = 128;
FALLOW_INLINE int32x4_t DotSigned(int32x4_t sums, int8x16_t weights, int8x16_t four) {
#ifdef __ARM_FEATURE_DOTPROD
  return vdotq_s32(sums, weights, four);
#else
  const int16x8_t low = vmull_s8(vget_low_s8(weights), vget_low_s8(four));
  const int16x8_t high = vmull_high_s8(weights, four);
  return vpadalq_s16(sums, vpaddq_s16(low, high));  // two products of 128 * 127 fit a word
#endif
}
FALLOW_INLINE int32x4_t DotBytes(int32x4_t sums, uint8x16_t weights, int8x16_t four) {
  return DotSigned(sums, vreinterpretq_s8_u8(veorq_u8(weights, vdupq_n_u8(kByteBias))), four);
}

#endif

// sums[row] + the products of the slice's 4 unsigned bytes of that row, each less kByteBias, with
// codes[0..3].
FALLOW_INLINE Ints DotBytes(Ints sums, Slice weights, const std::int8_t* codes) {
  const int8x16_t four = BroadcastFour(codes);
  return EachQuarter<Ints>([&](int i) { return DotBytes(sums.v[i], weights.v[i], four); });
}

// The same for bytes below 16, up to 32 of them a row, unbiased; `correction` is added once, here
// or there.
#ifdef __ARM_FEATURE_DOTPROD

using NibbleSums = Ints;
FALLOW_INLINE NibbleSums StartNibbles(std::int32_t correction) { return BroadcastInt(correction); }
FALLOW_INLINE NibbleSums DotNibbles(NibbleSums sums, Slice weights, const std::int8_t* codes) {
  const int8x16_t four = BroadcastFour(codes);
  return EachQuarter<Ints>(
      [&](int i) { return vdotq_s32(sums.v[i], vreinterpretq_s8_u8(weights.v[i]), four); });
}
FALLOW_INLINE Ints FinishNibbles(NibbleSums sums, std::int32_t) { return sums; }

#else

// A word sums 8 products of a group, and then those of a second word: 16 * 15 * 127 fits, so a
// group is widened only once.
struct Words {
  int16x8_t v[4];
};
struct NibbleSums {
  Words low;
  Words high;
};
FALLOW_INLINE NibbleSums StartNibbles(std::int32_t) {
  const auto zero = [](int) { return vdupq_n_s16(0); };
  return {EachQuarter<Words>(zero), EachQuarter<Words>(zero)};
}
FALLOW_INLINE NibbleSums DotNibbles(NibbleSums sums, Slice weights, const std::int8_t* codes) {
  const int8x16_t four = BroadcastFour(codes);
  const auto quarter = [&](int i) { return vreinterpretq_s8_u8(weights.v[i]); };
  return {
      EachQuarter<Words>([&](int i) {
        return vmlal_s8(sums.low.v[i], vget_low_s8(quarter(i)), vget_low_s8(four));
      }),
      EachQuarter<Words>([&](int i) { return vmlal_high_s8(sums.high.v[i], quarter(i), four); })};
}
FALLOW_INLINE Ints FinishNibbles(NibbleSums sums, std::int32_t correction) {
  return EachQuarter<Ints>([&](int i) {
    return vpadalq_s16(vdupq_n_s32(correction), vpaddq_s16(sums.low.v[i], sums.high.v[i]));
  });
}

#endif

// sums[row] + the products of the slice's 2 bf16 of that row with x[0..1], in any rounding.
FALLOW_INLINE Floats DotBf16(Floats sums, Slice weights, const std::uint16_t* x) {
#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
  std::uint32_t pair;
  std::memcpy(&pair, x, sizeof pair);
  const bfloat16x8_t both = vreinterpretq_bf16_u32(vdupq_n_u32(pair));
  return EachQuarter<Floats>(
      [&](int i) { return vbfdotq_f32(sums.v[i], vreinterpretq_bf16_u8(weights.v[i]), both); });
#else
  const float32x4_t even = vdupq_n_f32(FloatFromBf16(x[0]));
  const float32x4_t odd = vdupq_n_f32(FloatFromBf16(x[1]));
  return EachQuarter<Floats>([&](int i) {
    const uint32x4_t pairs = vreinterpretq_u32_u8(weights.v[i]);
    const float32x4_t sum =
        vfmaq_f32(sums.v[i], vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16)), even);
    const uint32x4_t upper = vandq_u32(pairs, vdupq_n_u32(0xffff0000));
    return vfmaq_f32(sum, vreinterpretq_f32_u32(upper), odd);
  });
#endif
}

FALLOW_INLINE Floats AsFloats(Slice x) {
  return EachQuarter<Floats>([&](int i) { return vreinterpretq_f32_u8(x.v[i]); });
}

FALLOW_INLINE void Prefetch(const void* p) { __builtin_prefetch(p, 0, 2); }
FALLOW_INLINE void PrefetchNear(const void* p) { __builtin_prefetch(p, 0, 3); }

}  // namespace
}  // namespace fallow::FALLOW_ISA
