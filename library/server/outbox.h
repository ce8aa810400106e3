// Outputs of one sequence that a hop keeps, so that a replacement of the next hop can be refilled.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace fallow {

// Rows of positions [begin(), end()) in the wire format, kept in chunks of about 64 KiB: what is
// old is dropped a chunk at a time.
class Outbox {
 public:
  explicit Outbox(std::int64_t row_bytes);

  std::int64_t begin() const { return begin_; }
  std::int64_t end() const { return end_; }
  std::int64_t bytes() const { return (end_ - begin_) * row_bytes_; }

  // Rows of the positions from end() on.
  void Append(std::string_view rows);

  // Row `position`, which must be held; valid until the outbox next changes.
  std::string_view Row(std::int64_t position) const;

  // Forgets the positions from `end` on. Nothing is left if they begin before begin().
  void Truncate(std::int64_t end);

  // Forgets everything: the next row is that of `position`.
  void Restart(std::int64_t position);

  // Drops the oldest chunk if all of its positions lie before `limit`. False if nothing was
  // dropped.
  bool DropOldest(std::int64_t limit);

 private:
  std::int64_t row_bytes_;
  std::int64_t chunk_rows_;
  std::int64_t begin_ = 0;
  std::int64_t end_ = 0;
  std::deque<std::string> chunks_;  // all full but the last
};

}  // namespace fallow
