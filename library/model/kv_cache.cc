#include "model/kv_cache.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace fallow {
namespace {

std::int64_t PagesFor(std::int64_t positions) {
  return positions / kPagePositions + (positions % kPagePositions != 0);
}

}  // namespace

absl::StatusOr<std::unique_ptr<KvCache>> KvCache::Create(std::span<const KvPlace> places,
                                                         std::int64_t pages) {
  if (pages < 1 || pages > std::numeric_limits<std::int32_t>::max()) {
    return absl::InvalidArgumentError(
        absl::StrCat("KV cache: ", pages, " pages, expected 1 to 2^31"));
  }
  std::vector<Pool> pools;
  int first_block = 0;
  for (const KvPlace& place : places) {
    FALLOW_ASSIGN_OR_RETURN(auto memory,
                            place.backend->Allocate(pages * place.layout.page_bytes()));
    pools.push_back({place, first_block, std::move(memory)});
    first_block += place.layout.blocks;
  }
  return std::unique_ptr<KvCache>(new KvCache(std::move(pools), pages));
}

absl::StatusOr<std::unique_ptr<KvCache>> KvCache::Create(const KvLayout& layout, std::int64_t bytes,
                                                         Backend& backend) {
  const std::int64_t page_bytes = layout.page_bytes();
  const std::int64_t pages = page_bytes > 0 ? bytes / page_bytes : 0;
  if (pages < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("KV cache: ", bytes, " bytes, expected room for a page of ", page_bytes,
                     " bytes (", kPagePositions, " positions)"));
  }
  const KvPlace place{.layout = layout, .backend = &backend};
  return Create({&place, 1}, pages);
}

KvCache::KvCache(std::vector<Pool> pools, std::int64_t pages)
    : pools_(std::move(pools)),
      layout_(pools_.front().place.layout),
      num_pages_(pages),
      references_(pages, 0) {
  const Pool& last = pools_.back();
  layout_.blocks = last.first_block + last.place.layout.blocks;
}

std::int64_t KvCache::capacity_tokens() const { return num_pages_ * kPagePositions; }

std::int64_t KvCache::reserved_tokens() const { return reserved_pages_ * kPagePositions; }

absl::Status KvCache::CheckReservation(std::int64_t tokens) const {
  if (tokens < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("KV cache: reservation of ", tokens, " positions, expected at least 0"));
  }
  if (PagesFor(tokens) > num_pages_ - reserved_pages_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "KV cache: reservation of ", tokens, " positions, only ",
        capacity_tokens() - reserved_tokens(), " of ", capacity_tokens(), " are left"));
  }
  return absl::OkStatus();
}

absl::StatusOr<KvCache::SequenceId> KvCache::Open(std::int64_t tokens) {
  FALLOW_RETURN_IF_ERROR(CheckReservation(tokens));
  Sequence sequence{.reserved_pages = PagesFor(tokens)};
  sequence.pages.reserve(sequence.reserved_pages);
  return Insert(std::move(sequence));
}

absl::StatusOr<KvCache::SequenceId> KvCache::Fork(SequenceId parent_id, std::int64_t positions,
                                                  std::int64_t tokens) {
  const auto found = sequences_.find(parent_id);
  if (found == sequences_.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("KV cache: fork of sequence ", parent_id, ", which is not open"));
  }
  const Sequence& parent = found->second;
  if (positions < 0 || positions > parent.size || tokens < positions) {
    return absl::InvalidArgumentError(
        absl::StrCat("KV cache: fork at ", positions, " positions with a reservation of ", tokens,
                     ", expected at most the ", parent.size, " held and the reservation"));
  }
  FALLOW_RETURN_IF_ERROR(CheckReservation(tokens));
  Sequence sequence{.reserved_pages = PagesFor(tokens), .size = positions};
  sequence.pages.reserve(sequence.reserved_pages);
  sequence.pages.assign(parent.pages.begin(), parent.pages.begin() + PagesFor(positions));
  for (std::int32_t page : sequence.pages) ++references_[page];
  return Insert(std::move(sequence));
}

absl::Status KvCache::Grow(SequenceId id, std::int64_t tokens) {
  Sequence& sequence = sequences_.find(id)->second;
  const std::int64_t more = PagesFor(tokens) - sequence.reserved_pages;
  if (more <= 0) return absl::OkStatus();
  FALLOW_RETURN_IF_ERROR(CheckReservation(more * kPagePositions));
  reserved_pages_ += more;
  sequence.reserved_pages += more;
  sequence.pages.reserve(sequence.reserved_pages);
  return absl::OkStatus();
}

KvCache::SequenceId KvCache::Insert(Sequence sequence) {
  reserved_pages_ += sequence.reserved_pages;
  sequences_.emplace(next_id_, std::move(sequence));
  return next_id_++;
}

void KvCache::Close(SequenceId id) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) return;
  ReleaseFrom(found->second, 0);
  reserved_pages_ -= found->second.reserved_pages;
  sequences_.erase(found);
}

std::int64_t KvCache::size(SequenceId id) const { return sequences_.find(id)->second.size; }

std::int64_t KvCache::limit(SequenceId id) const {
  return sequences_.find(id)->second.reserved_pages * kPagePositions;
}

void KvCache::Truncate(SequenceId id, std::int64_t positions) {
  Sequence& sequence = sequences_.find(id)->second;
  if (positions >= sequence.size) return;
  assert(positions >= 0);
  ReleaseFrom(sequence, PagesFor(positions));
  sequence.size = positions;
}

absl::Status KvCache::Extend(SequenceId id, std::int64_t rows) {
  const auto found = sequences_.find(id);
  if (found == sequences_.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("KV cache: sequence ", id, " is extended but not open"));
  }
  Sequence& sequence = found->second;
  const std::int64_t left = sequence.reserved_pages * kPagePositions - sequence.size;
  if (rows < 0 || rows > left) {
    return absl::InvalidArgumentError(absl::StrCat("KV cache: sequence ", id, " extended by ", rows,
                                                   " positions at ", sequence.size,
                                                   ", expected at most ", left, " more"));
  }
  if (rows == 0) return absl::OkStatus();
  if (sequence.size % kPagePositions != 0 && references_[sequence.pages.back()] > 1) {
    const std::int32_t shared = sequence.pages.back();
    sequence.pages.back() = TakeCopy(shared);
    Release(shared);
  }
  sequence.size += rows;
  const auto pages = static_cast<std::size_t>(PagesFor(sequence.size));
  while (sequence.pages.size() < pages) sequence.pages.push_back(TakeZeroed());
  return absl::OkStatus();
}

const std::int32_t* KvCache::pages(SequenceId id) const {
  return sequences_.find(id)->second.pages.data();
}

KvView KvCache::view(int block) const {
  const auto beyond = std::find_if(pools_.begin(), pools_.end(),
                                   [&](const Pool& pool) { return pool.first_block > block; });
  const Pool& pool = *std::prev(beyond);
  return {
      .layout = pool.place.layout, .pool = pool.memory->data(), .block = block - pool.first_block};
}

std::int32_t KvCache::TakeZeroed() {
  std::int32_t page = next_fresh_;
  if (free_.empty()) {
    assert(next_fresh_ < num_pages_);
    ++next_fresh_;
  } else {
    page = free_.back();
    free_.pop_back();
    for (const Pool& pool : pools_) {
      pool.place.backend->Clear(pool.At(page), pool.place.layout.page_bytes());
    }
  }
  references_[page] = 1;
  return page;
}

std::int32_t KvCache::TakeCopy(std::int32_t from) {
  std::int32_t page = next_fresh_;
  if (free_.empty()) {
    assert(next_fresh_ < num_pages_);
    ++next_fresh_;
  } else {
    page = free_.back();
    free_.pop_back();
  }
  for (const Pool& pool : pools_) {
    pool.place.backend->Copy(pool.At(page), pool.At(from), pool.place.layout.page_bytes());
  }
  references_[page] = 1;
  return page;
}

void KvCache::Release(std::int32_t page) {
  if (--references_[page] == 0) free_.push_back(page);
}

void KvCache::ReleaseFrom(Sequence& sequence, std::int64_t first_page) {
  for (std::size_t i = first_page; i < sequence.pages.size(); ++i) Release(sequence.pages[i]);
  sequence.pages.resize(first_page);
}

}  // namespace fallow
