// exact_math.h for sixteen lanes: the same operations in the same order, so the same bits.
#pragma once

#include <cstdint>

#include "kernels/cpu/simd.h"
#include "kernels/exact_math.h"

namespace fallow::FALLOW_ISA {
namespace {

FALLOW_INLINE Floats Exp(Floats x) {
  const Floats clamped = Min(x, Broadcast(exact::kExpMax));
  const Floats shifted = Fma(clamped, Broadcast(exact::kLog2E), Broadcast(exact::kRounder));
  const Floats n = shifted - Broadcast(exact::kRounder);
  Floats r = Fma(n, Broadcast(-exact::kLn2High), clamped);
  r = Fma(n, Broadcast(-exact::kLn2Low), r);
  const Floats one = Broadcast(1.0f);
  Floats p = Broadcast(exact::kExp6);
  p = Fma(p, r, Broadcast(exact::kExp5));
  p = Fma(p, r, Broadcast(exact::kExp4));
  p = Fma(p, r, Broadcast(exact::kExp3));
  p = Fma(p, r, Broadcast(exact::kExp2));
  p = Fma(p, r, one);
  p = Fma(p, r, one);
  return ZeroUnlessAtLeast(x, Broadcast(exact::kExpMin), AddToExponent(p, shifted));
}

// -x with the sign of zero that 0 - x does not give.
FALLOW_INLINE Floats Negate(Floats x) { return x * Broadcast(-1.0f); }

FALLOW_INLINE Floats Silu(Floats x) { return x / (Broadcast(1.0f) + Exp(Negate(x))); }

FALLOW_INLINE Floats Tanh(Floats x) {
  const Floats one = Broadcast(1.0f);
  return one - Broadcast(2.0f) / (one + Exp(x + x));
}

FALLOW_INLINE Floats GeluTanh(Floats x) {
  const Floats cube = (x * x) * x;
  const Floats u = Fma(cube, Broadcast(0.044715f), x) * Broadcast(1.5957691216f);
  return x / (Broadcast(1.0f) + Exp(Negate(u)));
}

FALLOW_INLINE Floats GeluErf(Floats x) {
  const Floats one = Broadcast(1.0f);
  const Floats a = Abs(x) * Broadcast(exact::kSqrtHalf);
  const Floats t = one / Fma(Broadcast(exact::kErfP), a, one);
  Floats p = Broadcast(exact::kErf5);
  p = Fma(p, t, Broadcast(exact::kErf4));
  p = Fma(p, t, Broadcast(exact::kErf3));
  p = Fma(p, t, Broadcast(exact::kErf2));
  p = Fma(p, t, Broadcast(exact::kErf1));
  const Floats upper = p * t * Exp(Negate(a * a)) * Broadcast(0.5f);
  return x * IfLess(x, Zero(), upper, one - upper);
}

// exact::QuantiseGroup. Call it by its full name: the compiler would find both. x, codes [kGroup]
FALLOW_INLINE exact::GroupScale QuantiseGroup(const float* x, exact::ScaleFormat format,
                                              std::int8_t* codes) {
  const Floats a = Load(x);
  const Floats b = Load(x + 16);
  const std::uint32_t largest = static_cast<std::uint32_t>(MaxLane(Max(AbsBits(a), AbsBits(b))));
  const bool failed = largest >= BitsOf(exact::kFailFrom);
  if (failed || largest < BitsOf(exact::kZeroBelow)) {
    StoreInt8(BroadcastInt(0), codes);
    StoreInt8(BroadcastInt(0), codes + 16);
    return {failed ? exact::kNoNumber : 0.0f, 0};
  }
  const auto [scale, inverse] = exact::ScaleOf(FloatOf(largest), format);
  const Ints code_a = RoundToInt(a * Broadcast(inverse));
  const Ints code_b = RoundToInt(b * Broadcast(inverse));
  StoreInt8(code_a, codes);
  StoreInt8(code_b, codes + 16);
  return {scale, SumLanes(code_a + code_b)};
}

}  // namespace
}  // namespace fallow::FALLOW_ISA
