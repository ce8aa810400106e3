// The pure decisions of a chain: replay, patience, blame.
#include "catch2/catch_test_macros.hpp"
#include "client/blame.h"
#include "client/patience.h"
#include "client/replay.h"

namespace fallow {
namespace {

struct ReplayCase {
  const char* what;
  std::vector<HopState> hops;
  std::int64_t known;
  std::int64_t wanted;
  std::vector<HopStart> starts;
  std::int64_t feed_from;
};

TEST_CASE("a replay computes no more than what was lost", "[client][replay]") {
  const std::vector<ReplayCase> cases = {
      {"fresh session", {{}, {}, {}}, 10, 9, {{0, 0}, {0, 0}, {0, 9}}, 0},
      {"all is held: the last hop repeats one row from its upstream's outbox",
       {{10, 0}, {10, 0}, {10, 0}},
       10,
       9,
       {{10, 10}, {10, 9}, {9, 9}},
       10},
      {"a replacement in the middle is refilled by its upstream",
       {{10, 0}, {0, 0}, {10, 0}},
       10,
       9,
       {{10, 0}, {0, 9}, {9, 9}},
       10},
      {"a new first hop gets the tokens, later hops lack nothing",
       {{0, 0}, {10, 0}, {10, 0}},
       10,
       9,
       {{0, 10}, {10, 9}, {9, 9}},
       0},
      {"a new last hop is refilled",
       {{10, 0}, {10, 0}, {0, 0}},
       10,
       9,
       {{10, 10}, {10, 0}, {0, 9}},
       10},
      {"an outbox that was cut: its hop computes again",
       {{10, 4}, {0, 0}, {10, 0}},
       10,
       9,
       {{0, 0}, {0, 9}, {9, 9}},
       0},
      {"run-ahead beyond the known tokens is forgotten",
       {{14, 0}, {13, 0}, {12, 0}},
       10,
       9,
       {{10, 10}, {10, 9}, {9, 9}},
       10},
      {"a ring of one", {{10, 0}}, 10, 9, {{9, 9}}, 9},
      {"a further prompt: nothing is sent twice",
       {{9, 9}, {9, 9}, {9, 9}},
       15,
       14,
       {{9, 9}, {9, 9}, {9, 14}},
       9},
      {"outputs of all positions are wanted", {{0, 0}, {0, 0}}, 6, 0, {{0, 0}, {0, 0}}, 0},
      {"hops that lag behind each other go on where they stand",
       {{8, 0}, {7, 0}, {5, 0}},
       10,
       9,
       {{8, 7}, {7, 5}, {5, 9}},
       8},
  };
  for (const ReplayCase& row : cases) {
    INFO(row.what);
    const Replay replay = PlanReplay(row.hops, row.known, row.wanted);
    CHECK(replay.hops == row.starts);
    CHECK(replay.feed_from == row.feed_from);
  }
}

// What the hops hold in the end, by playing the plan, for all small chains.
TEST_CASE("after any replay every hop holds every position", "[client][replay]") {
  const std::int64_t known = 4;
  const auto states = [&](int code) -> HopState {
    return {code % 6, std::min<std::int64_t>(code / 6, code % 6)};
  };
  for (int code = 0; code < 36 * 36 * 36; ++code) {
    const std::vector<HopState> hops = {states(code % 36), states(code / 36 % 36),
                                        states(code / 36 / 36)};
    const Replay replay = PlanReplay(hops, known, known - 1);
    std::int64_t from = replay.feed_from;  // positions [from, known) arrive at the next hop
    for (std::size_t i = 0; i < hops.size(); ++i) {
      const HopStart& start = replay.hops[i];
      REQUIRE(start.keep <= std::min(hops[i].held, known));
      REQUIRE(from == start.keep);  // no gap, nothing twice
      // Sent on: what lies in the outbox from send_from on, and what is computed now.
      const bool resends = start.send_from < start.keep;
      if (resends && i + 1 < hops.size()) REQUIRE(hops[i].outbox_begin <= start.send_from);
      from = start.send_from;
    }
    REQUIRE(from == known - 1);
    REQUIRE(replay.hops.back().keep <= known - 1);  // so that the wanted output is computed
  }
}

TEST_CASE("patience is a second, or eight usual passes of as many rows", "[client][patience]") {
  Patience patience;
  CHECK(patience.ForRows(1) == absl::InfiniteDuration());
  patience.Observe(1, absl::Milliseconds(10));
  CHECK(patience.ForRows(1) == absl::Seconds(1));
  for (int i = 0; i < 100; ++i) patience.Observe(1, absl::Milliseconds(500));
  CHECK(patience.ForRows(1) > absl::Milliseconds(3900));
  CHECK(patience.ForRows(1) < absl::Milliseconds(4010));
  CHECK(patience.ForRows(100) > absl::Seconds(390));  // never seen: as if one by one
  patience.Observe(128, absl::Milliseconds(1280));
  CHECK(patience.ForRows(1000) == absl::Seconds(80));
  CHECK(patience.ForRows(1) < absl::Milliseconds(4010));
}

TEST_CASE("blame falls on the silent, then on the one with unfinished rows", "[client][blame]") {
  const HopReport fine{true, 5, 5};
  const HopReport stuck{true, 6, 5};
  const HopReport silent{false, 0, 0};
  const auto blamed = [](std::vector<HopReport> reports, bool overdue) {
    auto blame = FindBlame(reports, overdue);
    return blame.has_value() ? static_cast<int>(blame->hop) : -1;
  };
  CHECK(blamed({fine, silent, fine}, false) == 1);
  CHECK(blamed({stuck, fine, silent}, true) == 2);
  CHECK(blamed({fine, stuck, stuck}, true) == 1);
  CHECK(blamed({fine, stuck, fine}, false) == -1);
  CHECK(blamed({fine, fine, fine}, true) == -1);

  const HopReport held_up{true, 13, 12, 1};  // its next hop takes no rows
  CHECK(blamed({held_up, {true, 12, 12}, fine}, true) == -1);
  CHECK(blamed({held_up, {true, 12, 11}, fine}, true) == 1);
  CHECK(blamed({{true, 14, 12, 1}, {true, 12, 11, 1}, {true, 11, 10}}, true) == 2);
  CHECK(blamed({held_up, held_up, silent}, true) == 2);
  CHECK(BehindWidestGap(std::vector<HopReport>{fine, fine, fine}) == 2);
  CHECK(BehindWidestGap(std::vector<HopReport>{{true}, {true}, {true}}) == 0);
  CHECK(BehindWidestGap(std::vector<HopReport>{held_up, {true, 12, 12}, {true, 12, 12}}) == 1);
  CHECK(BehindWidestGap(std::vector<HopReport>{{true, 9, 9}, {true, 7, 7}, {true, 7, 7}}) == 1);
  CHECK(BehindWidestGap(std::vector<HopReport>{{true, 9, 9}, {true, 9, 9}, {true, 4, 4}}) == 2);
}

}  // namespace
}  // namespace fallow
