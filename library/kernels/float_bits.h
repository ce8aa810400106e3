// Floats as bits, and the 16-bit formats.
//
// Everything here is inlined always and internal to each translation unit, so that a unit compiled
// for a newer instruction set cannot lend its code to one compiled for an older.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define FALLOW_INLINE __host__ __device__ __forceinline__
#else
#define FALLOW_INLINE inline __attribute__((always_inline))
#endif

namespace fallow {

static constexpr FALLOW_INLINE std::uint32_t BitsOf(float x) {
  return __builtin_bit_cast(std::uint32_t, x);
}

static constexpr FALLOW_INLINE float FloatOf(std::uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}

static constexpr FALLOW_INLINE float FloatFromBf16(std::uint16_t bits) {
  return FloatOf(static_cast<std::uint32_t>(bits) << 16);
}

// To nearest even. A NaN stays one.
static FALLOW_INLINE std::uint16_t Bf16FromFloat(float x) {
  const std::uint32_t bits = BitsOf(x);
  if (x != x) return static_cast<std::uint16_t>((bits >> 16) | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Exact, subnormal numbers included.
static FALLOW_INLINE float FloatFromFp16(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
  const std::uint32_t magnitude = static_cast<std::uint32_t>(half & 0x7fff) << 13;
  constexpr std::uint32_t kInfinity = 0x7c00u << 13;
  if (magnitude >= kInfinity) return FloatOf(sign | magnitude | 0x70000000u);
  return FloatOf(sign | BitsOf(FloatOf(magnitude) * 0x1p112f));
}

// To nearest even; too large becomes infinity, a NaN stays one.
static FALLOW_INLINE std::uint16_t Fp16FromFloat(float x) {
  const std::uint32_t bits = BitsOf(x);
  const std::uint32_t sign = (bits >> 16) & 0x8000;
  const std::uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<std::uint16_t>(sign | 0x7e00);
  if (magnitude >= BitsOf(65520.0f)) return static_cast<std::uint16_t>(sign | 0x7c00);
  if (magnitude < BitsOf(0x1p-14f)) {
    // Adding 1/2 moves the last bit of a subnormal half, 2^-24, to the last bit of a float.
    const std::uint32_t subnormal = BitsOf(FloatOf(magnitude) + 0.5f) - BitsOf(0.5f);
    return static_cast<std::uint16_t>(sign | subnormal);
  }
  const std::uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
  return static_cast<std::uint16_t>(sign | ((rounded - (112u << 23)) >> 13));
}

}  // namespace fallow
