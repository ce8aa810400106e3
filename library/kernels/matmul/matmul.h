// Products of packed weights with activations, and lookups of embedding rows.
#pragma once

#include <cstdint>

#include "base/range.h"
#include "kernels/activations.h"
#include "kernels/matmul/panel.h"

namespace fallow {

// y[m, n] = sum over k of weight[n, k] * x[m, k]  (+ bias[n])  (+ y[m, n] if `add`)
//   weight  rows n, cols k; any type with kFp32 (dequantised) and kExact (quantised types only);
//           kBf16 takes bf16 weights
//   x       rows m
//   y       [m, stride]
//   bias    [n] or null
// In kExact the order of every operation is fixed: see exact.cc.
// Work is split by panels: a call computes rows [16 begin, 16 end) of the weight for all m.
struct MatmulArgs {
  Panels weight;
  Activations x;
  float* y = nullptr;
  std::int64_t stride = 0;
  const float* bias = nullptr;
  bool add = false;
};

// out[i, :] = row ids[i] of the table, as floats, times `scale`. Ids were checked by the caller.
//   kExact definition: fma(code, scale, minimum) or code * scale; other types as they are.
//   out [rows, table.cols], dense
struct EmbedArgs {
  Panels table;
  const std::int32_t* ids = nullptr;
  std::int64_t rows = 0;
  float scale = 1;
  float* out = nullptr;
};

}  // namespace fallow
