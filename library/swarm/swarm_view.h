// What is known of a swarm at one moment: an immutable snapshot that routes are planned on.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "fallow/model_spec.h"
#include "fallow/peer.h"

namespace fallow {

struct PeerView {
  PeerAddress address;
  BlockRange blocks;     // held
  bool embeds = false;   // may be first in a ring
  bool samples = false;  // may be last in a ring
  std::string numeric_class;
  std::string model;                       // 32-byte manifest digest
  std::vector<std::string> block_digests;  // of `blocks`, in order
  std::string ends_digest;                 // empty if it holds neither end
  absl::Duration round_trip;
  int queued_rows = 0;
  int free_sessions = 0;
  std::int64_t free_kv_tokens = 0;
};

struct SwarmView {
  int num_blocks = 0;
  std::vector<PeerView> peers;
};

}  // namespace fallow
