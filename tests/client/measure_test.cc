// What a turn reports of its cost.
#include "catch2/catch_test_macros.hpp"
#include "tests/client/simulated_swarm.h"
#include "tests/model/golden_files.h"

namespace fallow {
namespace {

Chain::Measured EndTurn(SimulatedSwarm& swarm) {
  std::optional<Chain::Measured> measured;
  swarm.chain().EndTurn(absl::Seconds(1),
                        [&](Chain::Measured result) { measured = std::move(result); });
  REQUIRE(swarm.time().RunUntil([&] { return measured.has_value(); }, absl::Seconds(2)));
  return *std::move(measured);
}

Turn TurnOf(const std::vector<TokenId>& ids, int new_tokens) {
  SequenceTurn sequence{.ids = ids};
  sequence.prompt = std::ssize(ids);
  sequence.limit = sequence.prompt + new_tokens;
  sequence.wanted = sequence.prompt - 1;
  return {.sequences = {sequence}, .sampling = {}, .stop_tokens = {}};
}

TEST_CASE("a turn counts the rows of its prompt that the hops did not hold", "[client][measure]") {
  for (const EndMode end_mode : {EndMode::kRing, EndMode::kPrivateEnds}) {
    SimulatedSwarm swarm({.spans = {{0, 2}, {2, 4}, {4, 6}}, .end_mode = end_mode});
    const std::vector<TokenId> all = GoldenNamed("llama").prompt;
    std::vector<TokenId> said(all.begin(), all.begin() + 20);
    swarm.Begin(TurnOf(said, 10), 64);
    REQUIRE(swarm.RunUntilTokens(10, absl::Minutes(1)));
    CHECK(EndTurn(swarm).prompt_rows == 20);

    const std::vector<TokenId>& answer = swarm.outcome().tokens[0];
    said.insert(said.end(), answer.begin(), answer.end());
    said.insert(said.end(), {5, 6, 7});
    swarm.Begin(TurnOf(said, 10), 64);
    REQUIRE(swarm.RunUntilTokens(10, absl::Minutes(1)));
    CHECK(EndTurn(swarm).prompt_rows == 4);  // the answer's last token was not computed
  }
}

TEST_CASE("the route and its times are told while tokens come", "[client][measure]") {
  SimulatedSwarm swarm({.spans = {{0, 2}, {2, 4}, {4, 6}, {2, 4}}});
  const std::vector<TokenId> all = GoldenNamed("llama").prompt;
  swarm.Begin(TurnOf({all.begin(), all.begin() + 20}, 64), 96);
  REQUIRE(swarm.RunUntilTokens(1, absl::Minutes(1)));
  REQUIRE(swarm.outcome().routes.size() == 1);
  CHECK(swarm.outcome().routes[0][1].peer == swarm.peer(1));
  REQUIRE(swarm.RunUntilTokens(40, absl::Minutes(1)));
  const std::vector<RouteHop> timed = swarm.outcome().routes.back();
  REQUIRE(timed.size() == 3);
  for (const RouteHop& hop : timed) CHECK(hop.milliseconds_per_token > 0);
  swarm.Kill(1);
  REQUIRE(swarm.RunUntilTokens(64, absl::Minutes(1)));
  CHECK(swarm.outcome().routes.back()[1].peer == swarm.peer(3));
}

TEST_CASE("a hop's time for a token leaves the prompt out", "[client][measure]") {
  struct Case {
    int steps;
    double milliseconds;
  };
  for (const Case& row : {Case{10, 2}, Case{0, 8}}) {
    SimulatedSwarm swarm({.spans = {{0, 6}}});
    const std::vector<TokenId> all = GoldenNamed("llama").prompt;
    swarm.Begin(TurnOf({all.begin(), all.begin() + 20}, 10), 64);
    swarm.network().Alter<v1::ControlDown>(swarm.peer(0), swarm.client(),
                                           [&](std::vector<v1::ControlDown>& messages) {
                                             for (v1::ControlDown& message : messages) {
                                               if (!message.has_beat()) continue;
                                               message.mutable_beat()->set_rows_done(100);
                                               message.mutable_beat()->set_computing_us(800'000);
                                               message.mutable_beat()->set_steps(row.steps);
                                               message.mutable_beat()->set_steps_us(20'000);
                                             }
                                           });
    REQUIRE(swarm.RunUntilTokens(10, absl::Minutes(1)));
    const Chain::Measured measured = EndTurn(swarm);
    REQUIRE(measured.route.size() == 1);
    CHECK(measured.route[0].milliseconds_per_token == row.milliseconds);
  }
}

}  // namespace
}  // namespace fallow
