// Norms of the exact class, by definition.
//
// A sum has 128 partial sums: element i goes to sum i mod 128, in ascending order, by fma(x, x,
// sum) or sum + x; then sum[i] = sum[i] + sum[i + h] for h = 64, 32, … 1. Then
//   RMS    r = 1 / sqrt(squares / n + eps);  y = (x * r) * weight
//   layer  mean = sum / n;  squares of x - mean;  y = fma((x - mean) * r, weight, bias), or
//          ((x - mean) * r) * weight without a bias
#include <vector>

#include "kernels/exact_math.h"
#include "kernels/functions.h"
#include "kernels/norm/norm.h"

namespace fallow::exact {
namespace {

float SumOfLanes(float (&lane)[kNormLanes]) {
  for (int half = kNormLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lane[i] = lane[i] + lane[i + half];
  }
  return lane[0];
}

float Mean(const float* x, std::int64_t n) {
  float lane[kNormLanes] = {};
  for (std::int64_t i = 0; i < n; ++i) lane[i % kNormLanes] = lane[i % kNormLanes] + x[i];
  return SumOfLanes(lane) / static_cast<float>(n);
}

// 1 / sqrt(mean of (x - mean)^2 + epsilon)
float InverseDeviation(const float* x, std::int64_t n, float mean, float epsilon) {
  float lane[kNormLanes] = {};
  for (std::int64_t i = 0; i < n; ++i) {
    const float centred = x[i] - mean;
    lane[i % kNormLanes] = Fma(centred, centred, lane[i % kNormLanes]);
  }
  return 1.0f / Sqrt(SumOfLanes(lane) / static_cast<float>(n) + epsilon);
}

void NormRow(const NormArgs& args, const float* x, float* y) {
  const float mean = args.layer ? Mean(x, args.n) : 0.0f;  // x - 0 is x
  const float inverse = InverseDeviation(x, args.n, mean, args.epsilon);
  for (std::int64_t i = 0; i < args.n; ++i) {
    const float scaled = (x[i] - mean) * inverse;
    y[i] = args.layer && args.bias ? Fma(scaled, args.weight[i], args.bias[i])
                                   : scaled * args.weight[i];
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

}  // namespace fallow::exact
