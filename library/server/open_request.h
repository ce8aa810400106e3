// Open, checked against the protocol and against what the hop serves.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "fallow/gate.h"
#include "fallow/peer.h"
#include "fallow/v1/peer.pb.h"
#include "server/beginnings.h"
#include "server/limits.h"
#include "server/served_model.h"

namespace fallow {

using SessionSecret = std::array<std::uint8_t, 32>;

struct RoutedHop {
  PeerId peer;  // empty where peers are not identified
  std::vector<PeerAddress> addresses;
  BlockRange blocks;
};

struct OpenRequest {
  SessionId session{};
  std::uint32_t epoch = 0;
  bool resume = false;
  bool ring = false;  // else private ends
  std::vector<RoutedHop> route;
  int hop = 0;  // this hop's place in the route
  SessionSecret secret{};
  int sequences = 0;
  std::int64_t kv_tokens = 0;          // reserved for each sequence
  std::vector<Beginnings> beginnings;  // by sequence, may be fewer

  bool first() const { return hop == 0; }
  bool last() const { return hop + 1 == static_cast<int>(route.size()); }
  bool takes_ids() const { return ring && first(); }
  bool samples() const { return ring && last(); }
  BlockRange blocks() const { return route[hop].blocks; }
  const RoutedHop& previous() const { return route[first() ? route.size() - 1 : hop - 1]; }
  const RoutedHop& next() const { return route[last() ? 0 : hop + 1]; }
};

// `self` is this hop's own id, empty where peers are not identified.
// Unimplemented: another version. InvalidArgument: a field breaks a rule, or is not what this hop
// serves (names both).
absl::StatusOr<OpenRequest> ReadOpen(const v1::Open& open, const ServedModel& model,
                                     const PeerId& self, const HopLimits& limits);

// InvalidArgument, naming `what`, unless `bytes` has N of them.
template <std::size_t N>
absl::StatusOr<std::array<std::uint8_t, N>> ReadBytes(const std::string& bytes, const char* what);

// Equal? Takes the same time whatever the answer.
bool SameSecret(const SessionSecret& a, const SessionSecret& b);

}  // namespace fallow
