#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/float_bits.h"
#include "kernels/functions.h"

namespace fallow::reference {
namespace {

constexpr double kZeroBelow = 0x1p-60;
constexpr double kFailFrom = 0x1p40;

bool Fails(double x) { return !(std::abs(x) < kFailFrom); }

// The largest |x| of a group of `count` numbers; NaN where the group fails.
double Largest(const float* x, std::int64_t count) {
  double largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    if (Fails(x[i])) return std::numeric_limits<double>::quiet_NaN();
    largest = std::max(largest, std::abs(static_cast<double>(x[i])));
  }
  return largest;
}

int Code(double x, double largest) {
  if (!(largest >= kZeroBelow)) return 0;
  return static_cast<int>(std::nearbyint(x * 127 / largest));
}

double Scale(double largest) { return largest < kZeroBelow ? 0 : largest / 127; }

void QuantiseGroupTo(const Activations& out, std::int64_t at, const float* x, std::int64_t count) {
  const double largest = Largest(x, count);
  std::int32_t sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const int code = Code(x[i], largest);
    out.codes[at + i] = static_cast<std::int8_t>(code);
    sum += code;
  }
  out.scale[at / kGroup] = static_cast<float>(Scale(largest));
  out.sum[at / kGroup] = sum;
  out.scaled_sum[at / kGroup] = static_cast<float>(Scale(largest) * sum);
}

void RoundGroupToInt8(float* x, std::int64_t count) {
  const double largest = Largest(x, count);
  for (std::int64_t i = 0; i < count; ++i) {
    x[i] = static_cast<float>(Code(x[i], largest) * Scale(largest));
  }
}

}  // namespace

void ToActivations(const ActivationsArgs& args, Range rows) {
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const float* x = args.x + row * args.stride;
    const std::int64_t at = row * args.out.k + args.column;
    switch (args.out.arithmetic) {
      case Arithmetic::kFp32:
        std::copy_n(x, args.n, args.out.values + at);
        break;
      case Arithmetic::kBf16:
        std::transform(x, x + args.n, args.out.bf16 + at, [](float v) { return Bf16FromFloat(v); });
        break;
      case Arithmetic::kExact:
        for (std::int64_t i = 0; i < args.n; i += kGroup) {
          QuantiseGroupTo(args.out, at + i, x + i, std::min<std::int64_t>(kGroup, args.n - i));
        }
        break;
    }
  }
}

void Round(const RoundArgs& args, Range rows) {
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    float* x = args.x + row * args.n;
    if (std::any_of(x, x + args.n, Fails)) args.failed[row] = 1;
    if (args.rounding == Rounding::kBf16) {
      std::transform(x, x + args.n, x, [](float v) { return FloatFromBf16(Bf16FromFloat(v)); });
    } else if (args.rounding == Rounding::kInt8) {
      for (std::int64_t i = 0; i < args.n; i += kGroup) {
        RoundGroupToInt8(x + i, std::min<std::int64_t>(kGroup, args.n - i));
      }
    }
  }
}

}  // namespace fallow::reference
