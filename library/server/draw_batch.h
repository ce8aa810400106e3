// What the next tokens of several sequences are drawn from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "model/head.h"
#include "server/ring_end.h"

namespace fallow {

// The logits of some rows, or no more than their likeliest where these decide.
class DrawBatch {
 public:
  // hidden [needed.size(), hidden_size]; needed: of each row, RingEnd::candidates_needed().
  absl::Status Compute(Head& head, int vocab_size, const float* hidden,
                       std::span<const int> needed);

  // Whether all logits of a row are.
  bool finite(std::size_t row) const { return failed_[row] == 0; }

  // Once for a row.
  TokenId Sample(std::size_t row, int sequence, RingEnd& ring_end);

 private:
  std::size_t vocab_size_ = 0;
  std::size_t shortlist_ = 0;  // entries of a row; 0: there are logits instead
  std::vector<ShortlistEntry> entries_;
  std::vector<float> logits_;
  std::vector<std::uint8_t> failed_;
};

}  // namespace fallow
