// The non-linearity of a feed-forward network, gated or plain.
#pragma once

#include <cstdint>

#include "base/range.h"
#include "kernels/activations.h"

namespace fallow {

enum class Activation {
  kSilu,      // x / (1 + exp(-x))
  kGeluTanh,  // 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
  kGeluErf,   // 0.5 x (1 + erf(x / sqrt(2)))
};

// out = f(gate) * up, or f(gate) where `up` is null.
//   gate, up  [rows, n], row stride `stride`
// Source: Shazeer, GLU Variants Improve Transformer, 2020.
struct GluArgs {
  const float* gate = nullptr;
  const float* up = nullptr;
  std::int64_t rows = 0;
  std::int64_t n = 0;
  std::int64_t stride = 0;
  Activation activation = Activation::kSilu;
  Activations out = {};
};

}  // namespace fallow
