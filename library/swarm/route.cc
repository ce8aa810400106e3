#include "swarm/route.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace fallow {
namespace {

constexpr double kHopSeconds = 0.5e-3;      // serialisation, wake-ups, two system calls
constexpr double kQueuedRowSeconds = 2e-3;  // what a waiting row costs those behind it
constexpr double kAvoidedSeconds = 1e6;     // more than any honest route
constexpr double kUnreached = std::numeric_limits<double>::infinity();

double HopCost(const PeerView& peer, const RouteRequest& request) {
  return absl::ToDoubleSeconds(peer.round_trip) / 2 + kHopSeconds +
         peer.queued_rows * kQueuedRowSeconds +
         (request.avoid.contains(peer.address.peer) ? kAvoidedSeconds : 0);
}

bool Usable(const PeerView& peer, const RouteRequest& request) {
  return !request.exclude.contains(peer.address.peer) && peer.free_sessions > 0 &&
         peer.free_kv_tokens >= request.kv_tokens;
}

// May `peer` run [begin, end) as a hop of this request?
bool Serves(const PeerView& peer, BlockRange hop, const RouteRequest& request, int num_blocks) {
  if (!peer.blocks.Contains(hop)) return false;
  if (!request.ring) return true;
  return (hop.begin != 0 || peer.embeds) && (hop.end != num_blocks || peer.samples);
}

// Where a hop may usefully begin or end: the borders of what the peers hold.
std::vector<int> Borders(const SwarmView& view, BlockRange blocks) {
  std::vector<int> borders = {blocks.begin, blocks.end};
  for (const PeerView& peer : view.peers) {
    for (int border : {peer.blocks.begin, peer.blocks.end}) {
      if (border > blocks.begin && border < blocks.end) borders.push_back(border);
    }
  }
  std::sort(borders.begin(), borders.end());
  borders.erase(std::unique(borders.begin(), borders.end()), borders.end());
  return borders;
}

absl::Status NoRoute(const SwarmView& view, const RouteRequest& request) {
  std::vector<std::string> missing;
  for (const BlockRange& range : MissingBlocks(view, request.blocks, request.exclude)) {
    missing.push_back(ToString(range));
  }
  if (!missing.empty()) {
    return absl::UnavailableError(
        absl::StrCat("route: nobody serves blocks ", absl::StrJoin(missing, ", ")));
  }
  return absl::UnavailableError(
      absl::StrCat("route: all blocks of ", ToString(request.blocks),
                   " are held, but peers with free sessions", request.ring ? ", both ends" : "",
                   " and ", request.kv_tokens, " free KV tokens do not cover them"));
}

}  // namespace

std::vector<BlockRange> MissingBlocks(const SwarmView& view, BlockRange blocks,
                                      const std::set<PeerId>& exclude) {
  std::vector<BlockRange> missing;
  for (int block = blocks.begin; block < blocks.end; ++block) {
    const bool held = std::any_of(view.peers.begin(), view.peers.end(), [&](const PeerView& peer) {
      return !exclude.contains(peer.address.peer) && peer.blocks.Contains({block, block + 1});
    });
    if (held) continue;
    if (!missing.empty() && missing.back().end == block) {
      missing.back().end = block + 1;
    } else {
      missing.push_back({block, block + 1});
    }
  }
  return missing;
}

absl::StatusOr<std::vector<RouteStop>> PlanRoute(const SwarmView& view,
                                                 const RouteRequest& request) {
  struct Best {
    double cost = kUnreached;
    std::size_t from = 0;  // index of the border before
    const PeerView* peer = nullptr;
  };
  const std::vector<int> borders = Borders(view, request.blocks);
  std::vector<Best> best(borders.size());
  best[0].cost = 0;
  for (std::size_t from = 0; from + 1 < borders.size(); ++from) {
    if (best[from].cost == kUnreached) continue;
    for (const PeerView& peer : view.peers) {
      if (!Usable(peer, request)) continue;
      const double cost = best[from].cost + HopCost(peer, request);
      for (std::size_t to = from + 1; to < borders.size(); ++to) {
        if (!Serves(peer, {borders[from], borders[to]}, request, view.num_blocks)) continue;
        if (cost < best[to].cost) best[to] = {cost, from, &peer};
      }
    }
  }
  if (best.back().cost == kUnreached) return NoRoute(view, request);

  std::vector<RouteStop> route;
  for (std::size_t at = borders.size() - 1; at > 0; at = best[at].from) {
    route.push_back({best[at].peer->address, {borders[best[at].from], borders[at]}});
  }
  std::reverse(route.begin(), route.end());
  return route;
}

}  // namespace fallow
