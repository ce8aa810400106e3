// Rows of a stored tensor as the codes, scales and minima that the kernels take.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/numeric.h"
#include "model/checkpoint.h"

namespace fallow {

// Where a row's groups of 32 go.
struct GroupedRow {
  std::uint8_t* codes;     // [groups * 32]
  std::uint16_t* scale;    // [groups], fp16
  std::uint16_t* minimum;  // [groups], fp16; for q4_1
};

// The kind of weight that holds what a stored type does, or the next better one:
//   Q8_0, Q5_0 -> q8, Q4_0 -> q4_0, Q4_1 -> q4_1, IQ4_NL -> nl4, every value unchanged
//   Q4_K -> q4_1, scales and minima multiplied out and rounded to fp16 (a relative 2^-11)
//   all others -> q8, quantised anew (Q2_K, Q3_K and Q6_K have scales for 16, Q5_1 and Q5_K minima)
WeightType HeldAs(StoredType type);

// Copies a row of a type whose groups are kept (the first two lines above).
void CopyGroups(StoredType type, std::span<const std::uint8_t> row, std::int64_t groups,
                const GroupedRow& out);
bool KeepsGroups(StoredType type);

// Quantises floats, x [groups * 32], to q8 (scale: largest magnitude / 127) or q4_1 (scale: range /
// 15), each code the nearest to its float with the scale as rounded to fp16. The result is the same
// on every machine. False if a number is not finite or beyond what fp16 scales reach.
bool QuantiseRow(WeightType type, const float* x, std::int64_t groups, const GroupedRow& out);

}  // namespace fallow
