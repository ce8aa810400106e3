// simd.h in plain C++, for every machine and for comparison.
#pragma once

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
  std::int32_t v[16];
};

struct Floats {
  float v[16];
};

// {f(0), …, f(15)}
template <typename Lanes, typename Function>
FALLOW_INLINE Lanes EachLane(Function f) {
  Lanes result;
  for (int i = 0; i < 16; ++i) result.v[i] = f(i);
  return result;
}
template <typename Function>
FALLOW_INLINE Floats EachFloat(Function f) {
  return EachLane<Floats>(f);
}
template <typename Function>
FALLOW_INLINE Ints EachInt(Function f) {
  return EachLane<Ints>(f);
}

FALLOW_INLINE Floats Broadcast(float x) {
  return EachFloat([&](int) { return x; });
}
FALLOW_INLINE Floats Zero() { return Broadcast(0.0f); }
FALLOW_INLINE Ints BroadcastInt(std::int32_t x) {
  return EachInt([&](int) { return x; });
}

FALLOW_INLINE Floats Load(const float* p) {
  Floats x;
  std::memcpy(x.v, p, sizeof x.v);
  return x;
}
FALLOW_INLINE void Store(Floats x, float* p) { std::memcpy(p, x.v, sizeof x.v); }

// The first `count` < 16 lanes; the others are zero, or not written.
FALLOW_INLINE Floats LoadFirst(const float* p, std::int64_t count) {
  Floats x = Zero();
  std::memcpy(x.v, p, sizeof(float) * static_cast<std::size_t>(count));
  return x;
}
FALLOW_INLINE void StoreFirst(Floats x, float* p, std::int64_t count) {
  std::memcpy(p, x.v, sizeof(float) * static_cast<std::size_t>(count));
}

FALLOW_INLINE std::uint16_t LoadWord(const void* p, int i) {
  std::uint16_t word;
  std::memcpy(&word, static_cast<const std::uint8_t*>(p) + 2 * i, sizeof word);
  return word;
}
FALLOW_INLINE Floats LoadFp16(const void* p) {
  return EachFloat([&](int i) { return FloatFromFp16(LoadWord(p, i)); });
}
FALLOW_INLINE Floats LoadBf16(const void* p) {
  return EachFloat([&](int i) { return FloatFromBf16(LoadWord(p, i)); });
}
FALLOW_INLINE Floats LoadInt8(const std::int8_t* p) {
  return EachFloat([&](int i) { return static_cast<float>(p[i]); });
}

FALLOW_INLINE Floats operator+(Floats a, Floats b) {
  return EachFloat([&](int i) { return a.v[i] + b.v[i]; });
}
FALLOW_INLINE Floats operator-(Floats a, Floats b) {
  return EachFloat([&](int i) { return a.v[i] - b.v[i]; });
}
FALLOW_INLINE Floats operator*(Floats a, Floats b) {
  return EachFloat([&](int i) { return a.v[i] * b.v[i]; });
}
FALLOW_INLINE Floats operator/(Floats a, Floats b) {
  return EachFloat([&](int i) { return a.v[i] / b.v[i]; });
}
FALLOW_INLINE Floats Fma(Floats a, Floats b, Floats c) {
  return EachFloat([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
}
FALLOW_INLINE Floats MulAdd(Floats a, Floats b, Floats c) { return a * b + c; }
FALLOW_INLINE Floats Abs(Floats x) {
  return EachFloat([&](int i) { return __builtin_fabsf(x.v[i]); });
}

// a > b ? a : b and a < b ? a : b.
FALLOW_INLINE Floats Max(Floats a, Floats b) {
  return EachFloat([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
FALLOW_INLINE Floats Min(Floats a, Floats b) {
  return EachFloat([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}

// x >= limit ? value : 0, and x < limit ? below : value. False for a NaN.
FALLOW_INLINE Floats ZeroUnlessAtLeast(Floats x, Floats limit, Floats value) {
  return EachFloat([&](int i) { return x.v[i] >= limit.v[i] ? value.v[i] : 0.0f; });
}
FALLOW_INLINE Floats IfLess(Floats x, Floats limit, Floats below, Floats value) {
  return EachFloat([&](int i) { return x.v[i] < limit.v[i] ? below.v[i] : value.v[i]; });
}

// bits(x) + (bits(shifted) << 23): x * 2^n where n is in the low bits of `shifted`.
FALLOW_INLINE Floats AddToExponent(Floats x, Floats shifted) {
  return EachFloat([&](int i) { return FloatOf(BitsOf(x.v[i]) + (BitsOf(shifted.v[i]) << 23)); });
}

// To nearest even, for |x| < 2^22: adding 1.5 * 2^23 leaves the integer in the low bits.
FALLOW_INLINE Ints RoundToInt(Floats x) {
  return EachInt(
      [&](int i) { return static_cast<std::int32_t>(BitsOf(x.v[i] + 12582912.0f)) - 0x4B400000; });
}
FALLOW_INLINE Floats ToFloat(Ints x) {
  return EachFloat([&](int i) { return static_cast<float>(x.v[i]); });
}
FALLOW_INLINE Ints operator+(Ints a, Ints b) {
  return EachInt([&](int i) { return a.v[i] + b.v[i]; });
}
FALLOW_INLINE Ints Max(Ints a, Ints b) {
  return EachInt([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
FALLOW_INLINE std::int32_t SumLanes(Ints x) {
  std::int32_t sum = 0;
  for (int i = 0; i < 16; ++i) sum += x.v[i];
  return sum;
}
FALLOW_INLINE std::int32_t MaxLane(Ints x) {
  std::int32_t largest = x.v[0];
  for (int i = 1; i < 16; ++i) largest = x.v[i] > largest ? x.v[i] : largest;
  return largest;
}
FALLOW_INLINE void StoreInt8(Ints x, std::int8_t* p) {
  for (int i = 0; i < 16; ++i) p[i] = static_cast<std::int8_t>(x.v[i]);
}

// The bits of |x|, which order as |x| does, NaN highest.
FALLOW_INLINE Ints AbsBits(Floats x) {
  return EachInt([&](int i) { return static_cast<std::int32_t>(BitsOf(x.v[i]) & 0x7fffffff); });
}

// Sums lanes as a tree: x[i] + x[i + 8], then + 4, 2, 1.
FALLOW_INLINE float TreeSum(Floats x) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) x.v[i] = x.v[i] + x.v[i + half];
  }
  return x.v[0];
}
FALLOW_INLINE float MaxLane(Floats x) {
  float largest = x.v[0];
  for (int i = 1; i < 16; ++i) largest = x.v[i] > largest ? x.v[i] : largest;
  return largest;
}

// To bf16 and back, to nearest even. A NaN stays one.
FALLOW_INLINE Floats RoundToBf16(Floats x) {
  return EachFloat([&](int i) { return FloatFromBf16(Bf16FromFloat(x.v[i])); });
}
FALLOW_INLINE void StoreBf16(Floats x, std::uint16_t* p) {
  for (int i = 0; i < 16; ++i) p[i] = Bf16FromFloat(x.v[i]);
}

struct Slice {
  std::uint8_t v[64];
};

FALLOW_INLINE Slice LoadSlice(const std::uint8_t* p) {
  Slice x;
  std::memcpy(x.v, p, sizeof x.v);
  return x;
}
FALLOW_INLINE Slice LowNibbles(Slice x) {
  for (std::uint8_t& byte : x.v) byte &= 15;
  return x;
}
FALLOW_INLINE Slice HighNibbles(Slice x) {
  for (std::uint8_t& byte : x.v) byte >>= 4;
  return x;
}
FALLOW_INLINE Slice LookUp(const std::uint8_t (&table)[16], Slice nibbles) {
  for (std::uint8_t& byte : nibbles.v) byte = table[byte];
  return nibbles;
}

constexpr std::int32_t kByteBias = 0;

// sums[row] + the products of the slice's 4 unsigned bytes of that row with codes[0..3].
FALLOW_INLINE Ints DotBytes(Ints sums, Slice weights, const std::int8_t* codes) {
  return EachInt([&](int i) {
    const std::uint8_t* four = weights.v + 4 * i;
    return sums.v[i] + four[0] * codes[0] + four[1] * codes[1] + four[2] * codes[2] +
           four[3] * codes[3];
  });
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
  const float even = FloatFromBf16(x[0]);
  const float odd = FloatFromBf16(x[1]);
  return EachFloat([&](int i) {
    return sums.v[i] + FloatFromBf16(LoadWord(weights.v, 2 * i)) * even +
           FloatFromBf16(LoadWord(weights.v, 2 * i + 1)) * odd;
  });
}

FALLOW_INLINE Floats AsFloats(Slice x) {
  Floats floats;
  std::memcpy(floats.v, x.v, sizeof floats.v);
  return floats;
}

FALLOW_INLINE void Prefetch(const void*) {}
FALLOW_INLINE void PrefetchNear(const void*) {}

}  // namespace
}  // namespace fallow::FALLOW_ISA
