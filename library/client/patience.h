// How long a chain may be silent before a hop is given up.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace fallow {

// Learns what a pass through the chain usually takes. A value; no clock of its own.
class Patience {
 public:
  // A pass of `rows` rows came back after `took`.
  void Observe(std::int64_t rows, absl::Duration took);

  // A hop that answers beats but has not finished `rows` rows after this long is stuck:
  // max(1 s, 8 usual passes of as many rows). Infinite while nothing was observed.
  absl::Duration ForRows(std::int64_t rows) const;

  // A hop that does not answer a beat for this long is frozen, whatever it computes.
  static constexpr absl::Duration ForBeat() { return absl::Milliseconds(500); }
  // Silence after which the hops are asked; with ForBeat() it makes the least limit, 1 s.
  static constexpr absl::Duration BeforeBeat() { return absl::Milliseconds(500); }

 private:
  absl::Duration pass_;  // smoothed time of a pass of few rows; zero: not observed
  absl::Duration row_;   // smoothed time of a row in a pass of many
};

}  // namespace fallow
