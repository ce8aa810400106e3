#include "client/replay.h"

#include <algorithm>

namespace fallow {

Replay PlanReplay(std::span<const HopState> hops, std::int64_t known, std::int64_t wanted) {
  Replay replay;
  replay.hops.resize(hops.size());
  std::int64_t needed = wanted;  // first position that the hop after this one lacks
  for (std::size_t i = hops.size(); i-- > 0;) {
    const bool last = i + 1 == hops.size();
    const std::int64_t held = std::min(hops[i].held, known);
    // The last hop keeps no outputs: what is wanted of it is computed again.
    const bool sends_again = !last && hops[i].outbox_begin <= needed;
    const std::int64_t keep = sends_again ? held : std::min(held, needed);
    replay.hops[i] = {.keep = keep, .send_from = needed};
    needed = keep;
  }
  replay.feed_from = needed;
  return replay;
}

}  // namespace fallow
