// Keys and values of many sequences, in pages of 16 positions with copy-on-write sharing.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/attention/kv_page.h"
#include "kernels/backend.h"

namespace fallow {

// Owned by one thread. A sequence reserves its pages when it is opened, so it cannot run out later;
// pages are filled as positions are appended.
class KvCache {
 public:
  using SequenceId = std::int64_t;

  // Pages for at most `bytes` of memory. InvalidArgument if not one page fits.
  static absl::StatusOr<std::unique_ptr<KvCache>> Create(const KvLayout& layout, std::int64_t bytes,
                                                         Backend& backend);

  std::int64_t capacity_tokens() const;  // in all
  std::int64_t reserved_tokens() const;  // by open sequences, in whole pages

  // ResourceExhausted if fewer than `tokens` positions are unreserved.
  absl::StatusOr<SequenceId> Open(std::int64_t tokens);
  void Close(SequenceId sequence);

  // A new sequence that shares the first `positions` of `parent`, with a reservation of its own.
  absl::StatusOr<SequenceId> Fork(SequenceId parent, std::int64_t positions, std::int64_t tokens);

  std::int64_t size(SequenceId sequence) const;                // positions held
  void Truncate(SequenceId sequence, std::int64_t positions);  // drops what lies beyond

  // Makes room for `rows` more positions: takes zeroed pages, copies a shared page that would be
  // written. InvalidArgument beyond the reservation. The positions count as held at once.
  absl::Status Extend(SequenceId sequence, std::int64_t rows);

  // Page ids of the positions held; valid until the sequence next changes.
  const std::int32_t* pages(SequenceId sequence) const;
  KvView view(int block) const;

 private:
  struct Sequence;
  KvCache(const KvLayout& layout, std::shared_ptr<Buffer> pool);
  std::int32_t TakePage();
  void ReleasePage(std::int32_t page);

  KvLayout layout_;
  std::shared_ptr<Buffer> pool_;
  std::vector<std::int32_t> free_;
  std::vector<std::int32_t> references_;              // by page
  std::vector<std::unique_ptr<Sequence>> sequences_;  // by id; null when closed
  std::int64_t reserved_pages_ = 0;
};

}  // namespace fallow
