// Root-mean-square and layer normalisation.
#pragma once

#include <cstdint>

#include "base/range.h"
#include "kernels/activations.h"

namespace fallow {

// RMS    y = x / sqrt(mean(x^2) + eps) * weight
// layer  y = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) * weight + bias
//   x       [rows, n], dense
//   weight  [n];  bias [n] or null (layer norm without bias)
// The result goes to `values` [rows, n] if set (may be x itself), else to `out` as activations.
// Sources: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019; Ba et al., 2016.
struct NormArgs {
  const float* x = nullptr;
  std::int64_t rows = 0;
  std::int64_t n = 0;
  const float* weight = nullptr;
  const float* bias = nullptr;
  bool layer = false;  // layer normalisation instead of RMS
  float epsilon = 1e-5f;
  float* values = nullptr;
  Activations out = {};  // its arithmetic also chooses the order of the sums (kExact: fixed)
};

}  // namespace fallow
