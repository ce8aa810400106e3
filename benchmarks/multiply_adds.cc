// Compiled once per instruction set, with the instructions that the kernels use.
#include "multiply_adds.h"

#include "kernels/cpu/simd.h"
#include "kernels/functions.h"

namespace fallow::FALLOW_ISA {
namespace {

constexpr int kSums = 8;  // independent, so that no instruction waits for the one before

volatile float sink;

double Bytes(std::int64_t iterations) {
  alignas(64) std::uint8_t weights[64] = {1};
  const std::int8_t codes[4] = {1, 2, 3, 4};
  const Slice slice = LoadSlice(weights);
  Ints sums[kSums];
  FALLOW_UNROLL for (int s = 0; s < kSums; ++s) sums[s] = BroadcastInt(s);
  for (std::int64_t i = 0; i < iterations; ++i) {
    FALLOW_UNROLL for (int s = 0; s < kSums; ++s) sums[s] = DotBytes(sums[s], slice, codes);
  }
  std::int32_t total = 0;
  FALLOW_UNROLL for (int s = 0; s < kSums; ++s) total += SumLanes(sums[s]);
  sink = static_cast<float>(total);
  return 64.0 * kSums * static_cast<double>(iterations);
}

template <typename Step>
FALLOW_INLINE double Float(std::int64_t iterations, int lanes, Step step) {
  Floats sums[kSums];
  FALLOW_UNROLL for (int s = 0; s < kSums; ++s) sums[s] = Broadcast(static_cast<float>(s));
  for (std::int64_t i = 0; i < iterations; ++i) {
    FALLOW_UNROLL for (int s = 0; s < kSums; ++s) sums[s] = step(sums[s]);
  }
  float first[16];
  for (int s = 1; s < kSums; ++s) sums[0] = sums[0] + sums[s];
  Store(sums[0], first);
  sink = first[0];
  return static_cast<double>(lanes) * kSums * static_cast<double>(iterations);
}

}  // namespace

double MultiplyAdds(Arithmetic arithmetic, std::int64_t iterations) {
  alignas(64) std::uint8_t weights[64] = {};
  const std::uint16_t pair[2] = {0x3f80, 0x3f80};
  const Slice slice = LoadSlice(weights);
  const Floats half = Broadcast(0.5f);
  switch (arithmetic) {
    case Arithmetic::kExact:
      return Bytes(iterations);
    case Arithmetic::kBf16:
      return Float(iterations, 32, [&](Floats sum) { return DotBf16(sum, slice, pair); });
    case Arithmetic::kFp32:
      return Float(iterations, 16, [&](Floats sum) { return MulAdd(sum, half, half); });
  }
  return 0;
}

}  // namespace fallow::FALLOW_ISA
