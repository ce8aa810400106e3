// Figures that the data loop writes and every thread may read.
#pragma once

#include <atomic>
#include <cstdint>

namespace fallow {

// Of a session's epoch; what a Beat is answered with.
struct SessionCounters {
  void Reset() {
    rows_received = 0;
    rows_done = 0;
    rows_unsent = 0;
    computing_ns = 0;
    steps = 0;
    steps_ns = 0;
  }

  std::atomic<std::uint64_t> rows_received{0};
  std::atomic<std::uint64_t> rows_done{0};  // computed, and passed on where the next hop lacks them
  std::atomic<std::uint64_t> rows_unsent{0};  // computed; the next hop does not take them
  std::atomic<std::int64_t> computing_ns{0};
  std::atomic<std::uint64_t> steps{0};  // rows computed as their sequence's only one of a pass
  std::atomic<std::int64_t> steps_ns{0};
};

// Of a hop.
struct HopCounters {
  std::atomic<int> sessions{0};
  std::atomic<bool> draining{false};  // no new session is taken, for good
  std::atomic<std::int64_t> kv_tokens_reserved{0};
  std::atomic<std::int64_t> queued_rows{0};
  std::atomic<std::uint64_t> passes{0};
  std::atomic<std::uint64_t> rows{0};
  std::atomic<std::int64_t> computing_ns{0};
};

}  // namespace fallow
