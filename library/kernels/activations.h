// The right-hand side of a product: rows of K numbers in the form that an arithmetic takes.
#pragma once

#include <cstdint>

#include "kernels/numeric.h"

namespace fallow {

// A view; the memory is the back end's. Which pointers are set depends on the arithmetic:
//   kFp32   values  [rows, k]
//   kBf16   bf16    [rows, k]
//   kExact  codes   [rows, k], and per group of 32: scale, sum, scaled_sum  [rows, k / 32]
// k is a multiple of kPadK; what lies beyond the true length is zero.
struct Activations {
  Arithmetic arithmetic = Arithmetic::kFp32;
  std::int64_t rows = 0;
  std::int64_t k = 0;
  float* values = nullptr;
  std::uint16_t* bf16 = nullptr;
  std::int8_t* codes = nullptr;
  float* scale = nullptr;
  std::int32_t* sum = nullptr;  // of the group's codes
  float* scaled_sum = nullptr;  // scale * float(sum)
};

// Bytes that the arrays of `rows` x PaddedK(k) need, each array aligned to 64.
std::int64_t ActivationsBytes(Arithmetic arithmetic, std::int64_t rows, std::int64_t k);

// Lays the arrays out in `memory`, which has ActivationsBytes(arithmetic, rows, k) and is aligned.
Activations ActivationsIn(void* memory, Arithmetic arithmetic, std::int64_t rows, std::int64_t k);

}  // namespace fallow
