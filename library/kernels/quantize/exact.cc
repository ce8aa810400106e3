// The definition of the quantiser, of rounding at block borders and of a failed row.
#include <cassert>
#include <cstring>

#include "kernels/exact_math.h"
#include "kernels/functions.h"

namespace fallow::exact {
namespace {

// Copies min(count, kGroup) numbers into a group that is zero beyond them.
struct Group {
  Group(const float* x, std::int64_t count) {
    std::memcpy(values, x, sizeof(float) * static_cast<std::size_t>(Size(count)));
  }
  static std::int64_t Size(std::int64_t count) { return count < kGroup ? count : kGroup; }

  float values[kGroup] = {};
};

bool Fails(float x) { return (BitsOf(x) & 0x7fffffff) >= BitsOf(kFailFrom); }

void RoundRowToBf16(float* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = FloatFromBf16(Bf16FromFloat(x[i]));
}

void RoundRowToInt8(float* x, std::int64_t n) {
  for (std::int64_t begin = 0; begin < n; begin += kGroup) {
    std::int8_t codes[kGroup];
    const Group group(x + begin, n - begin);
    const float scale = QuantiseGroup(group.values, ScaleFormat::kFp32, codes).scale;
    for (std::int64_t i = 0; i < Group::Size(n - begin); ++i) {
      x[begin + i] = scale * static_cast<float>(codes[i]);
    }
  }
}

}  // namespace

void ToActivations(const ActivationsArgs& args, Range rows) {
  assert(args.out.arithmetic == Arithmetic::kExact && args.column % kGroup == 0);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const float* x = args.x + row * args.stride;
    for (std::int64_t begin = 0; begin < args.n; begin += kGroup) {
      const std::int64_t at = row * args.out.k + args.column + begin;
      const Group group(x + begin, args.n - begin);
      const auto [scale, sum] =
          QuantiseGroup(group.values, ScaleFormat::kFp32, args.out.codes + at);
      args.out.scale[at / kGroup] = scale;
      args.out.sum[at / kGroup] = sum;
      args.out.scaled_sum[at / kGroup] = scale * static_cast<float>(sum);
    }
  }
}

void Round(const RoundArgs& args, Range rows) {
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    float* x = args.x + row * args.n;
    for (std::int64_t i = 0; i < args.n; ++i) {
      if (Fails(x[i])) args.failed[row] = 1;
    }
    if (args.rounding == Rounding::kBf16) RoundRowToBf16(x, args.n);
    if (args.rounding == Rounding::kInt8) RoundRowToInt8(x, args.n);
  }
}

}  // namespace fallow::exact
