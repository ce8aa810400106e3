// How a chain goes on after a failure, a rewind or a new prompt: what each hop keeps and sends
// again.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fallow {

// One hop's state of one sequence. What it holds agrees with the tokens that the client knows.
struct HopState {
  std::int64_t held = 0;          // positions [0, held) have keys and values
  std::int64_t outbox_begin = 0;  // outputs of [outbox_begin, held) can be sent again
  std::int64_t shared = 0;        // of held: named by the last Open as what the tokens begin with
};

struct HopStart {
  std::int64_t keep = 0;       // positions whose keys and values stay
  std::int64_t send_from = 0;  // first position whose output goes to the next hop
  friend bool operator==(const HopStart&, const HopStart&) = default;
};

struct Replay {
  std::vector<HopStart> hops;
  std::int64_t feed_from = 0;  // the client sends its tokens [feed_from, known) to hop 0
};

// The least work after which the last hop gives the outputs of positions [wanted, known).
//   hops    along the route
//   known   tokens that the client knows: the positions to be held at the end
//   wanted  <= known; in a ring and for sampling known - 1
// A hop that held less than the next hop lacks computes again, from its upstream's outbox if that
// reaches far enough back, else its upstream does too, and so on to the client, who has the tokens.
Replay PlanReplay(std::span<const HopState> hops, std::int64_t known, std::int64_t wanted);

}  // namespace fallow
