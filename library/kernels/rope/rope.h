// Rotary position embedding.
#pragma once

#include <cstdint>

#include "base/range.h"

namespace fallow {

// Rotates the first `dims` elements of each head by angles that grow with position, in place.
//   x         [rows, heads, head_dim], row stride `stride` (heads need not fill a row)
//   position  [rows], in tokens from the start of the sequence
//   cosine, sine  [positions, dims / 2], tables made on the host
// Pairs element i with i + dims/2 (Llama checkpoints expect it), not with i + 1:
//   x[i] = x[i] cos - x[i + dims/2] sin,   x[i + dims/2] = x[i + dims/2] cos + x[i] sin
// Source: Su et al., RoFormer, 2021, section 3.4.
struct RopeArgs {
  float* x = nullptr;
  std::int64_t rows = 0;
  std::int64_t stride = 0;
  int heads = 0;
  int head_dim = 0;
  int dims = 0;
  const std::int32_t* position = nullptr;
  const float* cosine = nullptr;
  const float* sine = nullptr;
};

}  // namespace fallow
