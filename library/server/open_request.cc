#include "server/open_request.h"

#include <algorithm>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "sodium.h"

namespace fallow {
namespace {

absl::Status CheckModel(const v1::Open& open, const ServedModel& model) {
  if (open.version() != kProtocolVersion) {
    return absl::UnimplementedError(absl::StrCat("open: protocol version ", open.version(),
                                                 ", this hop speaks ", kProtocolVersion));
  }
  const std::string manifest(model.manifest.begin(), model.manifest.end());
  if (open.model() != manifest) {
    return absl::InvalidArgumentError(
        absl::StrCat("open: model ", absl::BytesToHexString(open.model().substr(0, 32)),
                     ", this hop serves ", absl::BytesToHexString(manifest)));
  }
  if (open.numeric_class() != model.numeric_class) {
    return absl::InvalidArgumentError(absl::StrCat("open: numeric class '",
                                                   open.numeric_class().substr(0, 32),
                                                   "', this hop runs '", model.numeric_class, "'"));
  }
  return absl::OkStatus();
}

absl::StatusOr<RoutedHop> ReadHop(const v1::Hop& hop) {
  RoutedHop read;
  if (!hop.peer().empty()) {
    FALLOW_ASSIGN_OR_RETURN(read.peer.bytes, ReadBytes<32>(hop.peer(), "route.peer"));
  }
  for (const std::string& address : hop.addresses()) {
    FALLOW_ASSIGN_OR_RETURN(PeerAddress parsed,
                            PeerAddress::Parse(absl::StrCat(address, "#", read.peer.ToString())));
    read.addresses.push_back(std::move(parsed));
  }
  if (read.addresses.empty()) return absl::InvalidArgumentError("open: a hop has no address");
  read.blocks = {static_cast<int>(hop.span().begin()), static_cast<int>(hop.span().end())};
  return read;
}

// Hops meet, and cover the whole model.
absl::StatusOr<std::vector<RoutedHop>> ReadRoute(const v1::Open& open, const ServedModel& model) {
  const int num_blocks = model.spec.num_blocks;
  if (open.route_size() > num_blocks) {
    return absl::InvalidArgumentError(
        absl::StrCat("open: ", open.route_size(), " hops for ", num_blocks, " blocks"));
  }
  std::vector<RoutedHop> route;
  int covered = 0;
  for (const v1::Hop& hop : open.route()) {
    FALLOW_ASSIGN_OR_RETURN(RoutedHop read, ReadHop(hop));
    if (read.blocks.begin != covered || read.blocks.empty() || read.blocks.end > num_blocks) {
      return absl::InvalidArgumentError(absl::StrCat("open: hop ", route.size(), " runs ",
                                                     ToString(read.blocks), ", expected from ",
                                                     covered, ", at most to ", num_blocks));
    }
    covered = read.blocks.end;
    route.push_back(std::move(read));
  }
  if (covered != num_blocks) {
    return absl::InvalidArgumentError(
        absl::StrCat("open: route covers ", covered, " of ", num_blocks, " blocks"));
  }
  return route;
}

absl::Status CheckPlace(const OpenRequest& request, const ServedModel& model, const PeerId& self) {
  if (!model.blocks.Contains(request.blocks())) {
    return absl::InvalidArgumentError(absl::StrCat("open: blocks ", ToString(request.blocks()),
                                                   ", this hop holds ", ToString(model.blocks)));
  }
  if (request.route[request.hop].peer != self) {
    return absl::InvalidArgumentError(absl::StrCat("open: hop ", request.hop, " is peer ",
                                                   request.route[request.hop].peer.ToString(),
                                                   ", this is ", self.ToString()));
  }
  if (request.takes_ids() && !model.embeds) {
    return absl::InvalidArgumentError("open: first in a ring, but this hop has no embedding");
  }
  if (request.samples() && !model.samples) {
    return absl::InvalidArgumentError("open: last in a ring, but this hop has no head");
  }
  return absl::OkStatus();
}

absl::Status CheckSize(const v1::Open& open, const ServedModel& model, const HopLimits& limits) {
  if (open.epoch() == 0) return absl::InvalidArgumentError("open: epoch 0, the first is 1");
  if (open.sequences() < 1 || open.sequences() > static_cast<std::uint32_t>(limits.max_sequences)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "open: ", open.sequences(), " sequences, allowed 1 to ", limits.max_sequences));
  }
  if (open.kv_tokens() < 1 || open.kv_tokens() > model.spec.max_positions) {
    return absl::InvalidArgumentError(absl::StrCat("open: ", open.kv_tokens(),
                                                   " positions a sequence, allowed 1 to ",
                                                   model.spec.max_positions));
  }
  if (open.hop() >= static_cast<std::uint32_t>(open.route_size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("open: hop ", open.hop(), " of a route of ", open.route_size()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Beginnings>> ReadBeginnings(const v1::Open& open) {
  if (open.beginnings_size() > static_cast<int>(open.sequences())) {
    return absl::InvalidArgumentError(absl::StrCat("open: beginnings of ", open.beginnings_size(),
                                                   " sequences, there are ", open.sequences()));
  }
  std::vector<Beginnings> read;
  for (const std::string& bytes : open.beginnings()) {
    std::optional<Beginnings> beginnings = Beginnings::Parse(bytes);
    if (!beginnings || beginnings->positions() > open.kv_tokens()) {
      return absl::InvalidArgumentError(absl::StrCat("open: beginnings of ", bytes.size(),
                                                     " bytes, expected 16 for each 16 of ",
                                                     open.kv_tokens(), " positions at most"));
    }
    read.push_back(*std::move(beginnings));
  }
  return read;
}

}  // namespace

template <std::size_t N>
absl::StatusOr<std::array<std::uint8_t, N>> ReadBytes(const std::string& bytes, const char* what) {
  std::array<std::uint8_t, N> read;
  if (bytes.size() != N) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " has ", bytes.size(), " bytes, expected ", N));
  }
  std::copy(bytes.begin(), bytes.end(), read.begin());
  return read;
}
template absl::StatusOr<std::array<std::uint8_t, 16>> ReadBytes(const std::string&, const char*);
template absl::StatusOr<std::array<std::uint8_t, 32>> ReadBytes(const std::string&, const char*);

bool SameSecret(const SessionSecret& a, const SessionSecret& b) {
  return sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

absl::StatusOr<OpenRequest> ReadOpen(const v1::Open& open, const ServedModel& model,
                                     const PeerId& self, const HopLimits& limits) {
  FALLOW_RETURN_IF_ERROR(CheckModel(open, model));
  FALLOW_RETURN_IF_ERROR(CheckSize(open, model, limits));
  if (open.end_mode() != v1::END_MODE_RING && open.end_mode() != v1::END_MODE_PRIVATE) {
    return absl::InvalidArgumentError(absl::StrCat("open: end mode ", open.end_mode()));
  }
  OpenRequest request;
  FALLOW_ASSIGN_OR_RETURN(request.session, ReadBytes<16>(open.session(), "open.session"));
  FALLOW_ASSIGN_OR_RETURN(request.secret, ReadBytes<32>(open.secret(), "open.secret"));
  FALLOW_ASSIGN_OR_RETURN(request.route, ReadRoute(open, model));
  request.epoch = open.epoch();
  request.resume = open.resume();
  request.ring = open.end_mode() == v1::END_MODE_RING;
  request.hop = static_cast<int>(open.hop());
  request.sequences = static_cast<int>(open.sequences());
  request.kv_tokens = open.kv_tokens();
  FALLOW_ASSIGN_OR_RETURN(request.beginnings, ReadBeginnings(open));
  FALLOW_RETURN_IF_ERROR(CheckPlace(request, model, self));
  return request;
}

}  // namespace fallow
