// Gated non-linearities of the exact class, by definition: f(gate) * up, f as in exact_math.h.
#include <vector>

#include "kernels/exact_math.h"
#include "kernels/functions.h"
#include "kernels/glu/glu.h"

namespace fallow::exact {
namespace {

float Apply(Activation activation, float x) {
  switch (activation) {
    case Activation::kSilu:
      return Silu(x);
    case Activation::kGeluTanh:
      return GeluTanh(x);
    case Activation::kGeluErf:
      return GeluErf(x);
  }
  return 0;
}

}  // namespace

void Glu(const GluArgs& args, Range rows) {
  std::vector<float> y(args.n);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    for (std::int64_t i = 0; i < args.n; ++i) {
      const std::int64_t at = row * args.stride + i;
      y[i] = Apply(args.activation, args.gate[at]);
      if (args.up) y[i] = y[i] * args.up[at];
    }
    ToActivations({.x = y.data(), .rows = args.rows, .n = args.n, .out = args.out}, {row, row + 1});
  }
}

}  // namespace fallow::exact
