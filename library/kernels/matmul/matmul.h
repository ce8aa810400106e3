// Products of packed weights with activations, and lookups of embedding rows.
#pragma once

#include <cstdint>

#include "base/range.h"
#include "kernels/activations.h"
#include "kernels/matmul/panel.h"

namespace fallow {

// Whether weights of a type go with an arithmetic. Others are converted when they are loaded.
constexpr bool Multiplies(Arithmetic arithmetic, WeightType type) {
  if (arithmetic == Arithmetic::kExact) return IsQuantised(type);
  return type == (arithmetic == Arithmetic::kBf16 ? WeightType::kBf16 : WeightType::kFp32);
}

// y[m, n] = sum over k of weight[n, k] * x[m, k]  (+ bias[n])  (+ y[m, n] if `add`)
//   weight  rows n, cols k, of a type that goes with the arithmetic of x: see Multiplies()
//   x       rows m
//   y       [m, stride]
//   bias    [n] or null
// In kExact the order of every operation is fixed: see exact.cc. Weights must be finite, and where
// a row of x has failed (quantize.h) the row of y is NaN. Work is split by panels: a call computes
// rows [16 begin, 16 end) of the weight for all m.
struct MatmulArgs {
  Panels weight;
  Activations x;
  float* y = nullptr;
  std::int64_t stride = 0;
  const float* bias = nullptr;
  bool add = false;
};

// out[i, :] = row ids[i] of the table as UnpackRow() gives it, times `scale`. Ids were checked by
// the caller.
//   out [rows, table.cols], dense
struct EmbedArgs {
  Panels table;
  const std::int32_t* ids = nullptr;
  std::int64_t rows = 0;
  float scale = 1;
  float* out = nullptr;
};

}  // namespace fallow
