#include "swarm/route.h"

#include "catch2/catch_test_macros.hpp"

namespace fallow {
namespace {

PeerId Peer(int number) {
  PeerId peer;
  peer.bytes[0] = static_cast<std::uint8_t>(number);
  return peer;
}

PeerView View(int number, BlockRange blocks, absl::Duration round_trip = absl::Milliseconds(1)) {
  return {.address = {"10.0.0.1", number, Peer(number)},
          .blocks = blocks,
          .embeds = blocks.begin == 0,
          .samples = blocks.end == 12,
          .numeric_class = "exact-1",
          .model = "",
          .block_digests = {},
          .ends_digest = "",
          .round_trip = round_trip,
          .queued_rows = 0,
          .free_sessions = 1,
          .free_kv_tokens = 1000};
}

// "1[0, 4) 2[4, 12)"
std::string Planned(const SwarmView& view, const RouteRequest& request) {
  auto route = PlanRoute(view, request);
  if (!route.ok()) return std::string(route.status().message());
  std::string text;
  for (const RouteStop& stop : *route) {
    if (!text.empty()) text += " ";
    text += std::to_string(stop.address.port) + ToString(stop.blocks);
  }
  return text;
}

const RouteRequest kAll{.blocks = {0, 12}, .ring = true, .kv_tokens = 100};

TEST_CASE("a route covers all blocks with the fewest hops", "[swarm][route]") {
  const SwarmView view{12, {View(1, {0, 4}), View(2, {4, 8}), View(3, {8, 12}), View(4, {4, 12})}};
  CHECK(Planned(view, kAll) == "1[0, 4) 4[4, 12)");
}

TEST_CASE("a route uses a part of what overlapping peers hold", "[swarm][route]") {
  const SwarmView view{12, {View(1, {0, 8}), View(2, {4, 12})}};
  const std::string planned = Planned(view, kAll);
  CHECK((planned == "1[0, 4) 2[4, 12)" || planned == "1[0, 8) 2[8, 12)"));
}

TEST_CASE("a route prefers near peers to far ones", "[swarm][route]") {
  const SwarmView view{12,
                       {View(1, {0, 6}), View(2, {6, 12}, absl::Milliseconds(80)),
                        View(3, {6, 12}, absl::Milliseconds(10))}};
  CHECK(Planned(view, kAll) == "1[0, 6) 3[6, 12)");
}

TEST_CASE("one far peer loses to two near ones", "[swarm][route]") {
  const SwarmView view{
      12, {View(1, {0, 12}, absl::Milliseconds(100)), View(2, {0, 6}), View(3, {6, 12})}};
  CHECK(Planned(view, kAll) == "2[0, 6) 3[6, 12)");
}

TEST_CASE("a busy peer loses to an idle replica", "[swarm][route]") {
  SwarmView view{12, {View(1, {0, 12}), View(2, {0, 12})}};
  view.peers[0].queued_rows = 20;
  CHECK(Planned(view, kAll) == "2[0, 12)");
}

TEST_CASE("ties go to the peer named first", "[swarm][route]") {
  CHECK(Planned({12, {View(1, {0, 12}), View(2, {0, 12})}}, kAll) == "1[0, 12)");
}

TEST_CASE("a route avoids blamed peers unless nobody else serves the blocks", "[swarm][route]") {
  SwarmView view{12, {View(1, {0, 6}), View(2, {6, 12}), View(3, {6, 12})}};
  RouteRequest request = kAll;
  request.avoid = {Peer(2)};
  CHECK(Planned(view, request) == "1[0, 6) 3[6, 12)");
  request.avoid = {Peer(2), Peer(3)};
  CHECK(Planned(view, request) == "1[0, 6) 2[6, 12)");
}

TEST_CASE("an excluded peer is never used", "[swarm][route]") {
  RouteRequest request = kAll;
  request.exclude = {Peer(2)};
  CHECK(Planned({12, {View(1, {0, 6}), View(2, {6, 12})}}, request) ==
        "route: nobody serves blocks [6, 12)");
}

TEST_CASE("the error names every range that is missing", "[swarm][route]") {
  CHECK(Planned({12, {View(1, {2, 4}), View(2, {6, 10})}}, kAll) ==
        "route: nobody serves blocks [0, 2), [4, 6), [10, 12)");
}

TEST_CASE("peers without room are passed over", "[swarm][route]") {
  SwarmView view{12, {View(1, {0, 12}), View(2, {0, 12}), View(3, {0, 12})}};
  view.peers[0].free_sessions = 0;
  view.peers[1].free_kv_tokens = 99;
  CHECK(Planned(view, kAll) == "3[0, 12)");
  view.peers[2].free_kv_tokens = 99;
  CHECK(Planned(view, kAll).find("100 free KV tokens") != std::string::npos);
}

TEST_CASE("a ring needs its ends, private ends do not", "[swarm][route]") {
  SwarmView view{12, {View(1, {0, 12})}};
  view.peers[0].samples = false;
  CHECK(Planned(view, kAll).find("both ends") != std::string::npos);
  RouteRequest request = kAll;
  request.ring = false;
  CHECK(Planned(view, request) == "1[0, 12)");
}

TEST_CASE("a part of the blocks can be planned alone", "[swarm][route]") {
  RouteRequest request = kAll;
  request.blocks = {4, 8};
  CHECK(Planned({12, {View(1, {0, 6}), View(2, {6, 12})}}, request) == "1[4, 6) 2[6, 8)");
}

}  // namespace
}  // namespace fallow
