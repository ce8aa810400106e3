// Planning a chain of hops that covers a model's blocks: a pure function of a snapshot.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "absl/status/statusor.h"
#include "swarm/swarm_view.h"

namespace fallow {

struct RouteRequest {
  BlockRange blocks;  // to be covered
  bool ring = true;   // the hop with block 0 must embed, the one with the last block sample
  std::int64_t kv_tokens = 0;     // that every hop must have free
  std::set<PeerId> avoid = {};    // used only where nobody else serves a block
  std::set<PeerId> exclude = {};  // never used
};

struct RouteStop {
  PeerAddress address;
  BlockRange blocks;
  friend bool operator==(const RouteStop&, const RouteStop&) = default;
};

// The cheapest route: the sum over its hops of half the round trip, a fixed cost of a hop, and the
// rows that wait there. Ties go to the earlier peer of the view. The view's peers are taken to
// serve the same model in the same numeric class.
// Unavailable names the blocks that nobody serves, or the missing end.
absl::StatusOr<std::vector<RouteStop>> PlanRoute(const SwarmView& view,
                                                 const RouteRequest& request);

// The maximal ranges of `blocks` that no peer of the view outside `exclude` holds.
std::vector<BlockRange> MissingBlocks(const SwarmView& view, BlockRange blocks,
                                      const std::set<PeerId>& exclude);

}  // namespace fallow
