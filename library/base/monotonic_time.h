// The clock of loops that run in real time: it never jumps, but tells no date.
#pragma once

#include <chrono>

#include "absl/time/time.h"

namespace fallow {

inline absl::Time MonotonicNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace fallow
