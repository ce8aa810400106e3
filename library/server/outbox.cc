#include "server/outbox.h"

#include <algorithm>

namespace fallow {

Outbox::Outbox(std::int64_t row_bytes)
    : row_bytes_(row_bytes), chunk_rows_(std::max<std::int64_t>(1, (64 << 10) / row_bytes)) {}

void Outbox::Append(std::string_view rows) {
  const std::size_t chunk_bytes = chunk_rows_ * row_bytes_;
  end_ += static_cast<std::int64_t>(rows.size()) / row_bytes_;
  while (!rows.empty()) {
    if (chunks_.empty() || chunks_.back().size() == chunk_bytes) chunks_.emplace_back();
    const std::size_t part = std::min(rows.size(), chunk_bytes - chunks_.back().size());
    chunks_.back().append(rows.substr(0, part));
    rows.remove_prefix(part);
  }
}

std::string_view Outbox::Row(std::int64_t position) const {
  const std::int64_t row = position - begin_;
  const std::string_view chunk = chunks_[row / chunk_rows_];
  return chunk.substr(row % chunk_rows_ * row_bytes_, row_bytes_);
}

void Outbox::Truncate(std::int64_t end) {
  if (end >= end_) return;
  if (end <= begin_) return Restart(end);
  const std::int64_t rows = end - begin_;
  chunks_.resize((rows + chunk_rows_ - 1) / chunk_rows_);
  chunks_.back().resize((rows - (chunks_.size() - 1) * chunk_rows_) * row_bytes_);
  end_ = end;
}

void Outbox::Restart(std::int64_t position) {
  chunks_.clear();
  begin_ = end_ = position;
}

bool Outbox::DropOldest(std::int64_t limit) {
  if (chunks_.empty()) return false;
  const std::int64_t rows = static_cast<std::int64_t>(chunks_.front().size()) / row_bytes_;
  if (begin_ + rows > limit) return false;
  chunks_.pop_front();
  begin_ += rows;
  return true;
}

}  // namespace fallow
