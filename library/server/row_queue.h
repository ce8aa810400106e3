// Rows of one sequence that wait for a pass, as they came over the wire.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fallow {

// A row is `row_bytes` bytes: a hidden state in the wire format, or a little-endian token id.
class RowQueue {
 public:
  explicit RowQueue(std::int64_t row_bytes) : row_bytes_(row_bytes) {}

  std::int64_t rows() const { return bytes() / row_bytes_; }
  std::int64_t bytes() const { return static_cast<std::int64_t>(buffer_.size() - taken_); }

  void Append(std::string_view rows) { buffer_.append(rows); }

  // The oldest `rows`; valid until the queue next changes.
  std::string_view Front(std::int64_t rows) const {
    return std::string_view(buffer_).substr(taken_, rows * row_bytes_);
  }

  void Pop(std::int64_t rows) {
    taken_ += rows * row_bytes_;
    if (2 * taken_ < buffer_.size()) return;
    buffer_.erase(0, taken_);
    taken_ = 0;
  }

  void Clear() {
    buffer_.clear();
    taken_ = 0;
  }

 private:
  std::int64_t row_bytes_;
  std::string buffer_;
  std::size_t taken_ = 0;  // bytes at the front of the buffer that are gone already
};

}  // namespace fallow
