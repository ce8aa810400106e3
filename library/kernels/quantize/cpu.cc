// Compiled once per instruction set: see kernels/cpu/simd.h.
#include <cassert>
#include <cstring>

#include "kernels/cpu/vector_math.h"
#include "kernels/functions.h"

namespace fallow::FALLOW_ISA {
namespace {

// Calls whole(i) for each whole group of [0, n), then part(i, n - i) for what is left, if anything.
template <typename Whole, typename Part>
FALLOW_INLINE void EachGroup(std::int64_t n, Whole whole, Part part) {
  std::int64_t i = 0;
  for (; i + kGroup <= n; i += kGroup) whole(i);
  if (i < n) part(i, n - i);
}

// A copy of `count` < kGroup numbers, with zeros behind.
struct PaddedGroup {
  PaddedGroup(const float* x, std::int64_t count) {
    std::memcpy(values, x, sizeof(float) * static_cast<std::size_t>(count));
  }
  alignas(64) float values[kGroup] = {};
};

void WriteExact(const float* x, std::int64_t n, const Activations& out, std::int64_t at) {
  const auto write = [&](const float* group, std::int64_t i) {
    const auto [scale, sum] =
        FALLOW_ISA::QuantiseGroup(group, exact::ScaleFormat::kFp32, out.codes + at + i);
    out.scale[(at + i) / kGroup] = scale;
    out.sum[(at + i) / kGroup] = sum;
    out.scaled_sum[(at + i) / kGroup] = scale * static_cast<float>(sum);
  };
  EachGroup(
      n, [&](std::int64_t i) { write(x + i, i); },
      [&](std::int64_t i, std::int64_t count) { write(PaddedGroup(x + i, count).values, i); });
}

void WriteBf16(const float* x, std::int64_t n, std::uint16_t* out) {
  const auto write = [&](const float* group, std::int64_t i) {
    StoreBf16(Load(group), out + i);
    StoreBf16(Load(group + 16), out + i + 16);
  };
  EachGroup(
      n, [&](std::int64_t i) { write(x + i, i); },
      [&](std::int64_t i, std::int64_t count) { write(PaddedGroup(x + i, count).values, i); });
}

// Whether any of n numbers is a NaN or as large as kFailFrom.
bool Fails(const float* x, std::int64_t n) {
  Ints largest = BroadcastInt(0);
  const auto look = [&](const float* group) {
    largest = Max(largest, Max(AbsBits(Load(group)), AbsBits(Load(group + 16))));
  };
  EachGroup(
      n, [&](std::int64_t i) { look(x + i); },
      [&](std::int64_t i, std::int64_t count) { look(PaddedGroup(x + i, count).values); });
  return static_cast<std::uint32_t>(MaxLane(largest)) >= BitsOf(exact::kFailFrom);
}

void RoundGroupToBf16(float* x) {
  Store(RoundToBf16(Load(x)), x);
  Store(RoundToBf16(Load(x + 16)), x + 16);
}

void RoundGroupToInt8(float* x) {
  std::int8_t codes[kGroup];
  const Floats scale =
      Broadcast(FALLOW_ISA::QuantiseGroup(x, exact::ScaleFormat::kFp32, codes).scale);
  Store(scale * LoadInt8(codes), x);
  Store(scale * LoadInt8(codes + 16), x + 16);
}

template <typename RoundGroup>
FALLOW_INLINE void RoundRow(float* x, std::int64_t n, RoundGroup round_group) {
  EachGroup(
      n, [&](std::int64_t i) { round_group(x + i); },
      [&](std::int64_t i, std::int64_t count) {
        PaddedGroup group(x + i, count);
        round_group(group.values);
        std::memcpy(x + i, group.values, sizeof(float) * static_cast<std::size_t>(count));
      });
}

}  // namespace

void ToActivations(const ActivationsArgs& args, Range rows) {
  assert(args.column % kGroup == 0);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const float* x = args.x + row * args.stride;
    const std::int64_t at = row * args.out.k + args.column;
    switch (args.out.arithmetic) {
      case Arithmetic::kFp32:
        std::memcpy(args.out.values + at, x, sizeof(float) * static_cast<std::size_t>(args.n));
        break;
      case Arithmetic::kBf16:
        WriteBf16(x, args.n, args.out.bf16 + at);
        break;
      case Arithmetic::kExact:
        WriteExact(x, args.n, args.out, at);
        break;
    }
  }
}

void Round(const RoundArgs& args, Range rows) {
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    float* x = args.x + row * args.n;
    if (Fails(x, args.n)) args.failed[row] = 1;
    if (args.rounding == Rounding::kBf16) RoundRow(x, args.n, RoundGroupToBf16);
    if (args.rounding == Rounding::kInt8) RoundRow(x, args.n, RoundGroupToInt8);
  }
}

}  // namespace fallow::FALLOW_ISA
