// Keys and values of many sequences, in pages of 16 positions with copy-on-write sharing.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/attention/kv_page.h"
#include "kernels/backend.h"

namespace fallow {

// Where keys and values of consecutive blocks lie: of layout.blocks, which follow those of the
// place before. The back end is borrowed.
struct KvPlace {
  KvLayout layout;
  Backend* backend = nullptr;
};

// Owned by one thread. A sequence reserves its pages when it is opened, so it cannot run out later;
// pages are filled as positions are appended.
class KvCache {
 public:
  using SequenceId = std::int64_t;

  // `pages` in each place. InvalidArgument unless there is at least one.
  static absl::StatusOr<std::unique_ptr<KvCache>> Create(std::span<const KvPlace> places,
                                                         std::int64_t pages);

  // Pages for at most `bytes` of memory of the back end, which is borrowed. InvalidArgument if not
  // one page fits.
  static absl::StatusOr<std::unique_ptr<KvCache>> Create(const KvLayout& layout, std::int64_t bytes,
                                                         Backend& backend);

  const KvLayout& layout() const { return layout_; }
  std::int64_t capacity_tokens() const;  // in all
  std::int64_t reserved_tokens() const;  // by open sequences, in whole pages

  // ResourceExhausted if fewer than `tokens` positions are unreserved.
  absl::StatusOr<SequenceId> Open(std::int64_t tokens);
  void Close(SequenceId sequence);

  // A new sequence that shares the first `positions` of `parent`, with a reservation of its own for
  // `tokens` positions in all. Shared pages count in every reservation: so each sequence can be
  // extended to its own, whichever copies first and whichever is closed first.
  // InvalidArgument if the parent holds fewer positions or `tokens` is less than `positions`.
  absl::StatusOr<SequenceId> Fork(SequenceId parent, std::int64_t positions, std::int64_t tokens);

  // Reserves room for `tokens` positions in all, if that is more than it has. ResourceExhausted.
  absl::Status Grow(SequenceId sequence, std::int64_t tokens);

  bool Contains(SequenceId sequence) const { return sequences_.contains(sequence); }
  std::int64_t size(SequenceId sequence) const;                // positions held
  std::int64_t limit(SequenceId sequence) const;               // positions it may hold: whole pages
  void Truncate(SequenceId sequence, std::int64_t positions);  // drops what lies beyond

  // Makes room for `rows` more positions: takes zeroed pages, copies a shared page that would be
  // written. InvalidArgument beyond the reservation. The positions count as held at once.
  absl::Status Extend(SequenceId sequence, std::int64_t rows);

  // Page ids of the positions held; valid until the sequence next changes.
  const std::int32_t* pages(SequenceId sequence) const;
  KvView view(int block) const;

 private:
  // It never holds more pages than it reserved; a page is counted once by each that shares it. So
  // pages in use <= pages held <= pages reserved <= all pages, and the first is less than the
  // second while any page is shared: there is always one for a copy.
  struct Sequence {
    std::int64_t reserved_pages = 0;
    std::int64_t size = 0;
    std::vector<std::int32_t> pages{};
  };

  // What one place holds of every page.
  struct Pool {
    KvPlace place;
    int first_block = 0;
    std::shared_ptr<Buffer> memory;

    std::uint8_t* At(std::int32_t page) const {
      return memory->data() + page * place.layout.page_bytes();
    }
  };

  KvCache(std::vector<Pool> pools, std::int64_t pages);
  absl::Status CheckReservation(std::int64_t tokens) const;
  SequenceId Insert(Sequence sequence);
  std::int32_t TakeZeroed();
  std::int32_t TakeCopy(std::int32_t page);
  void Release(std::int32_t page);
  void ReleaseFrom(Sequence& sequence, std::int64_t first_page);

  const std::vector<Pool> pools_;
  KvLayout layout_;  // of all pools together
  const std::int64_t num_pages_;
  std::vector<std::int32_t> free_;  // used before; all pages from next_fresh_ on are still zero
  std::int32_t next_fresh_ = 0;
  std::vector<std::int32_t> references_;  // by page
  absl::flat_hash_map<SequenceId, Sequence> sequences_;
  SequenceId next_id_ = 0;
  std::int64_t reserved_pages_ = 0;
};

}  // namespace fallow
