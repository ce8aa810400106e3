// From floats to activations, and the rounding of hidden states at block borders.
#pragma once

#include <cstdint>

#include "base/range.h"
#include "kernels/activations.h"

namespace fallow {

// Writes x [rows, n] (row stride `stride`, in elements) as activations from column `column` on.
//   kFp32   values = x
//   kBf16   bf16 = x rounded to nearest even
//   kExact  per group of 32: scale = max|x| / 127, code = round(x * 127 / max|x|)
//           (exact-class definition, section 2; a group with a NaN or |x| >= 2^40 gets scale NaN)
// `column` is a multiple of 32. Columns from column + n up to the next multiple of 32, or to k
// where n reaches the end of the true row, are zeroed by whoever made the buffer and stay zero.
struct ActivationsArgs {
  const float* x = nullptr;
  std::int64_t rows = 0;
  std::int64_t n = 0;
  std::int64_t stride = 0;
  std::int64_t column = 0;
  Activations out;
};

enum class Rounding {
  kNone,
  kBf16,  // to nearest even
  kInt8,  // to int8 in groups of 32 and back, as activations are (option "+r8")
};

// Rounds hidden states in place where a block ends, and marks rows that are not finite:
// failed[row] = 1 if any |x| >= 2^40 or NaN (such a row must not leave the hop), else untouched.
//   x [rows, n], dense
struct RoundArgs {
  float* x = nullptr;
  std::int64_t rows = 0;
  std::int64_t n = 0;
  Rounding rounding = Rounding::kNone;
  std::uint8_t* failed = nullptr;  // [rows]
};

}  // namespace fallow
