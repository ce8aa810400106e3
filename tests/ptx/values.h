// What a register holds, as C++ values of PTX's types.
//
// Written apart from kernels/float_bits.h on purpose: the conversions of the kernels under test are
// judged by these.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <type_traits>

namespace fallow::ptx {

// A float of 16 bits by the format's number of fraction bits: 10 is fp16, 7 is bf16.
template <int kFractionBits>
struct Float16 {
  static constexpr int kBias = (1 << (14 - kFractionBits)) - 1;
  static constexpr int kInfinity = ((1 << (15 - kFractionBits)) - 1) << kFractionBits;

  std::uint16_t bits = 0;

  double Value() const {
    const int magnitude = bits & 0x7fff;
    const int exponent = magnitude >> kFractionBits;
    const int fraction = magnitude & ((1 << kFractionBits) - 1);
    double value = 0;
    if (magnitude >= kInfinity) {
      value = fraction ? NAN : INFINITY;
    } else if (exponent == 0) {
      value = std::ldexp(fraction, 1 - kBias - kFractionBits);
    } else {
      value = std::ldexp((1 << kFractionBits) + fraction, exponent - kBias - kFractionBits);
    }
    return bits & 0x8000 ? -value : value;
  }

  // `round` makes a non-negative number of units in the last place whole.
  static Float16 From(double value, double (*round)(double) = &std::nearbyint) {
    if (std::isnan(value)) return {0x7fff};
    const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    const double magnitude = std::abs(value);
    if (std::isinf(value)) return {static_cast<std::uint16_t>(sign | kInfinity)};
    const int exponent = magnitude < std::ldexp(1, 1 - kBias) ? 1 - kBias : std::ilogb(magnitude);
    int rounded = round(0.75) == 0 ? kInfinity - 1 : kInfinity;  // towards zero nothing overflows
    if (exponent <= kBias) {  // a carry out of the fraction makes the next exponent
      const double units = round(std::ldexp(magnitude, kFractionBits - exponent));
      rounded = static_cast<int>(units) + ((exponent + kBias - 1) << kFractionBits);
    }
    return {static_cast<std::uint16_t>(sign | rounded)};
  }
};

using Fp16 = Float16<10>;
using Bf16 = Float16<7>;

// Two numbers in one register of 32 bits, the first in the low half.
template <typename T>
struct Pair {
  T low, high;
};

template <typename T>
struct IsFloat16 : std::false_type {};
template <int kFractionBits>
struct IsFloat16<Float16<kFractionBits>> : std::true_type {};

template <typename T>
struct IsPair : std::false_type {};
template <typename T>
struct IsPair<Pair<T>> : std::true_type {};

// Registers are kept as 64 bits, integers extended by their sign; who reads cuts them to his type.
template <typename T>
T FromRegister(std::uint64_t bits) {
  if constexpr (IsPair<T>::value) {
    return {{static_cast<std::uint16_t>(bits)}, {static_cast<std::uint16_t>(bits >> 16)}};
  } else if constexpr (IsFloat16<T>::value) {
    return {static_cast<std::uint16_t>(bits)};
  } else if constexpr (std::same_as<T, float>) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
  } else if constexpr (std::same_as<T, double>) {
    return std::bit_cast<double>(bits);
  } else if constexpr (std::same_as<T, bool>) {
    return bits & 1;
  } else {
    return static_cast<T>(bits);
  }
}

// A NaN that arithmetic yields has PTX's canonical bits.
template <typename T>
std::uint64_t ToRegister(T value) {
  if constexpr (IsPair<T>::value) {
    return value.low.bits | std::uint64_t{value.high.bits} << 16;
  } else if constexpr (IsFloat16<T>::value) {
    return value.bits;
  } else if constexpr (std::same_as<T, float>) {
    return std::isnan(value) ? 0x7fffffff : std::bit_cast<std::uint32_t>(value);
  } else if constexpr (std::same_as<T, double>) {
    return std::isnan(value) ? 0x7fffffffffffffff : std::bit_cast<std::uint64_t>(value);
  } else {
    return static_cast<std::uint64_t>(value);
  }
}

// A sum and what rounding it lost: value + lost is exact, but for overflow.
struct ExactSum {
  double value, lost;
};

inline ExactSum SumOf(double a, double b) {
  const double sum = a + b;
  const double part = sum - a;
  return {sum, (a - (sum - part)) + (b - part)};
}

// a * b + c such that rounding the result to 16 bits is the only rounding: the product of two
// 16-bit floats is exact in a double, and an inexact sum gets an odd last bit, so it lies on no
// tie.
inline double FusedForFloat16(double a, double b, double c) {
  const ExactSum sum = SumOf(a * b, c);
  if (!(sum.lost != 0) || !std::isfinite(sum.value)) return sum.value;
  if (std::bit_cast<std::uint64_t>(sum.value) & 1) return sum.value;
  return std::nextafter(sum.value, sum.lost > 0 ? INFINITY : -INFINITY);
}

// Where floats round to, if not to the nearest.
enum class Direction : std::uint8_t { kZero, kDown, kUp };

inline float Rounded(const ExactSum& sum, Direction direction) {
  const auto near = static_cast<float>(sum.value);
  if (!std::isfinite(sum.value)) return near;
  double beyond = near - sum.value;  // exact, or infinite
  if (beyond == 0) beyond = -sum.lost;
  if (direction == Direction::kZero) direction = sum.value > 0 ? Direction::kDown : Direction::kUp;
  if (direction == Direction::kDown && beyond > 0) return std::nextafter(near, -INFINITY);
  if (direction == Direction::kUp && beyond < 0) return std::nextafter(near, INFINITY);
  return near;
}

}  // namespace fallow::ptx
