// Norms in double, as the header's formulas say.
#include <cmath>
#include <vector>

#include "kernels/functions.h"
#include "kernels/norm/norm.h"

namespace fallow::reference {
namespace {

void NormRow(const NormArgs& args, const float* x, float* y) {
  const auto n = static_cast<double>(args.n);
  double mean = 0;
  for (std::int64_t i = 0; args.layer && i < args.n; ++i) mean += x[i] / n;
  double variance = 0;
  for (std::int64_t i = 0; i < args.n; ++i) variance += (x[i] - mean) * (x[i] - mean) / n;
  const double inverse = 1 / std::sqrt(variance + args.epsilon);
  for (std::int64_t i = 0; i < args.n; ++i) {
    const double bias = args.layer && args.bias ? args.bias[i] : 0;
    y[i] = static_cast<float>((x[i] - mean) * inverse * args.weight[i] + bias);
  }
}

}  // namespace

void Norm(const NormArgs& args, Range rows) {
  std::vector<float> y(args.n);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const float* x = args.x + row * args.n;
    if (args.values) {
      NormRow(args, x, args.values + row * args.n);
      continue;
    }
    NormRow(args, x, y.data());
    ToActivations({.x = y.data(), .rows = args.rows, .n = args.n, .out = args.out}, {row, row + 1});
  }
}

}  // namespace fallow::reference
