// When a server's sessions have ended.
#pragma once

#include "absl/time/clock.h"
#include "fallow/block_server.h"

namespace fallow {

// Waits until no session is left, but not as long as one is kept whose client just vanished.
inline bool BecomesIdle(const BlockServer& server) {
  const absl::Time end = absl::Now() + absl::Seconds(20);
  while (server.stats().sessions > 0 && absl::Now() < end) absl::SleepFor(absl::Milliseconds(1));
  return server.stats().sessions == 0;
}

}  // namespace fallow
