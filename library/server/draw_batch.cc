#include "server/draw_batch.h"

#include <algorithm>
#include <cmath>

namespace fallow {
namespace {

// Long enough for all rows; 0 if one needs all its logits.
std::int64_t ShortlistFor(std::span<const int> needed, int vocab_size) {
  const auto needs_all = [](int count) { return count == 0 || count > Head::kMostShortlist; };
  if (needed.empty() || std::any_of(needed.begin(), needed.end(), needs_all)) return 0;
  return std::min(vocab_size, *std::max_element(needed.begin(), needed.end()));
}

bool AllFinite(std::span<const float> numbers) {
  float probe = 0;
  for (const float number : numbers) probe += number * 0;
  return std::isfinite(probe);
}

}  // namespace

absl::Status DrawBatch::Compute(Head& head, int vocab_size, const float* hidden,
                                std::span<const int> needed) {
  const std::int64_t rows = std::ssize(needed);
  vocab_size_ = vocab_size;
  failed_.assign(rows, 0);
  shortlist_ = ShortlistFor(needed, vocab_size);
  if (shortlist_ > 0) {
    const auto count = static_cast<std::int64_t>(shortlist_);
    entries_.resize(rows * count);
    return head.Shortlist(hidden, rows, count, entries_.data(), failed_.data());
  }
  logits_.resize(rows * vocab_size);
  const absl::Status status = head.Logits(hidden, rows, logits_.data());
  for (std::size_t row = 0; status.ok() && row < needed.size(); ++row) {
    if (!AllFinite(std::span(logits_).subspan(row * vocab_size_, vocab_size_))) failed_[row] = 1;
  }
  return status;
}

TokenId DrawBatch::Sample(std::size_t row, int sequence, RingEnd& ring_end) {
  if (shortlist_ == 0) {
    return ring_end.Sample(sequence, std::span(logits_).subspan(row * vocab_size_, vocab_size_));
  }
  const std::span<const ShortlistEntry> entries = entries_;
  return ring_end.Sample(sequence, entries.subspan(row * shortlist_, shortlist_));
}

}  // namespace fallow
