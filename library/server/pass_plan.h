// Which of the waiting rows the next pass takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/time/time.h"

namespace fallow {

struct PassBounds {
  std::int64_t rows = 0;          // in all
  std::int64_t prefill_rows = 0;  // of sequences that have more than one row waiting
};

// How many rows of each sequence, given how many wait. Sequences with one row (they decode) come
// first, so a prompt never delays them by more than one chunk; prompts share a chunk. Where not all
// fit, those from `first` on, and then from the beginning, are served first.
std::vector<std::int64_t> PlanPass(std::span<const std::int64_t> waiting, std::size_t first,
                                   const PassBounds& bounds);

// How many rows of prompts the next pass takes if others decode, so that they wait for them no
// longer than kDecodersWait, or than kLeastPrefillRows take; by the last pass that had any.
std::int64_t PrefillRowsBesideDecoding(std::int64_t rows, absl::Duration elapsed);

}  // namespace fallow
