// Keys and values of sequences that are gone, for those that begin alike.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "fallow/model_spec.h"
#include "fallow/peer.h"
#include "model/kv_cache.h"
#include "server/beginnings.h"

namespace fallow {

// Who may share what is held: a client's own sessions, over the same blocks.
struct SharingCircle {
  PeerId client;
  BlockRange blocks;
  friend bool operator==(const SharingCircle&, const SharingCircle&) = default;
};

// The part of a held sequence that another one begins with.
struct SharedBeginning {
  KvCache::SequenceId kv = 0;
  std::int64_t positions = 0;
};

class KeptBeginnings {
 public:
  // `cache` must outlive it.
  explicit KeptBeginnings(KvCache& cache) : cache_(cache) {}
  ~KeptBeginnings();

  // Keeps what sequence `kv` holds, in place of the oldest where there is no room, and of those
  // that it begins with.
  void Keep(const SharingCircle& circle, const Beginnings& held, KvCache::SequenceId kv);

  // The longest that `wanted` begins with.
  SharedBeginning Find(const SharingCircle& circle, const Beginnings& wanted) const;

  // Gives the room of the oldest back. False if there is none.
  bool DropOldest();

  std::int64_t reserved_tokens() const;

 private:
  static constexpr std::size_t kMost = 64;

  struct Kept {
    SharingCircle circle;
    Beginnings beginnings;
    KvCache::SequenceId kv = 0;
  };

  KvCache& cache_;
  std::deque<Kept> kept_;  // oldest first
};

}  // namespace fallow
