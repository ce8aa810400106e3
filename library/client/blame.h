// Which hop of a silent chain is at fault: a pure function of what the hops answered.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace fallow {

// What is known of one hop after the chain was silent and every hop was asked.
struct HopReport {
  bool answered = false;            // the beat, in time
  std::uint64_t rows_received = 0;  // since the epoch began
  std::uint64_t rows_done = 0;
  std::uint64_t rows_unsent = 0;  // those that the next hop does not take

  friend bool operator==(const HopReport&, const HopReport&) = default;
};

struct Blame {
  std::size_t hop = 0;
  std::string reason;
};

// At fault is, in this order: the first hop that did not answer; the first that has rows it did not
// finish, if the chain was silent for longer than such rows may take (`overdue`) and it is not held
// up by the next hop. None: everyone waits for somebody else, so the answer is on its way or was
// lost between two hops.
//   reports  along the route
std::optional<Blame> FindBlame(std::span<const HopReport> reports, bool overdue);

// Nobody computes: no hop has rows that it could go on with.
bool AllIdle(std::span<const HopReport> reports);

// The hop behind the widest gap between rows computed and rows received by the next: to be replaced
// when a chain stays silent although nobody is at fault and the epoch was begun anew. Without a gap
// it is the last hop if rows got that far, for nothing came out of it, else the first.
std::size_t BehindWidestGap(std::span<const HopReport> reports);

}  // namespace fallow
