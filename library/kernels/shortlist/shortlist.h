// The likeliest tokens of a vocabulary: few of its logits decide which one is drawn.
#pragma once

#include <cstdint>

#include "base/range.h"

namespace fallow {

struct ShortlistEntry {
  std::int32_t id;
  float logit;

  friend bool operator==(const ShortlistEntry&, const ShortlistEntry&) = default;
};

// best = for each row its `count` largest logits and whose they are, by ascending id; of equal ones
// (-0 equals 0) those with the lowest. NaN counts as -inf, +inf as the largest float, and so they
// are given out.
//   logits  [rows, n]
//   best    [rows, count], 1 <= count <= n
//   failed  [rows], set to 1 where some logit is not finite
struct ShortlistArgs {
  const float* logits = nullptr;
  std::int64_t rows = 0;
  std::int64_t n = 0;
  std::int64_t count = 0;
  ShortlistEntry* best = nullptr;
  std::uint8_t* failed = nullptr;
};

}  // namespace fallow
