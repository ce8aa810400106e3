// Gated non-linearities in double, as the header's formulas say.
#include <cmath>
#include <vector>

#include "kernels/functions.h"
#include "kernels/glu/glu.h"

namespace fallow::reference {
namespace {

double Apply(Activation activation, double x) {
  constexpr double kSqrt2OverPi = 0.79788456080286535588;
  switch (activation) {
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(kSqrt2OverPi * (x + 0.044715 * x * x * x)));
    case Activation::kGeluErf:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  }
  return 0;
}

}  // namespace

void Glu(const GluArgs& args, Range rows) {
  std::vector<float> y(args.n);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    for (std::int64_t i = 0; i < args.n; ++i) {
      const std::int64_t at = row * args.stride + i;
      const double up = args.up ? args.up[at] : 1;
      y[i] = static_cast<float>(Apply(args.activation, args.gate[at]) * up);
    }
    ToActivations({.x = y.data(), .rows = args.rows, .n = args.n, .out = args.out}, {row, row + 1});
  }
}

}  // namespace fallow::reference
