// A hop fails at every step, in every way: with a replica not one token differs.
#include <cstdio>

#include "catch2/catch_test_macros.hpp"
#include "catch2/generators/catch_generators.hpp"
#include "catch2/matchers/catch_matchers_string.hpp"
#include "tests/client/simulated_swarm.h"
#include "tests/model/golden_files.h"

namespace fallow {
namespace {

constexpr int kSteps = 64;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kStride = 7;  // of the steps and seeds: each takes ten times as long
#else
constexpr int kStride = 1;
#endif
constexpr absl::Duration kDelay = absl::Milliseconds(5);
// Detection (1 s: the steps are short), replay (a few trips through the chain), and 1 s.
const absl::Duration kLongestPause = absl::Seconds(2) + 20 * kDelay;

SimulatedSwarm::Options ThreeHopsWithReplicas(EndMode end_mode) {
  return {.spans = {{0, 2}, {2, 4}, {4, 6}, {0, 2}, {2, 4}, {4, 6}},
          .end_mode = end_mode,
          .delay = kDelay};
}

Turn OnePrompt(int new_tokens) {
  const std::vector<TokenId> all = GoldenNamed("llama").prompt;
  SequenceTurn sequence{.ids = {all.begin(), all.begin() + 20}};
  sequence.prompt = std::ssize(sequence.ids);
  sequence.limit = sequence.prompt + new_tokens;
  sequence.wanted = sequence.prompt - 1;
  return {.sequences = {sequence}, .sampling = {}, .stop_tokens = {}};
}

std::string Failure(const SimulatedSwarm& swarm) {
  return swarm.outcome().failure.has_value() ? swarm.outcome().failure->ToString() : "";
}

std::vector<TokenId> Undisturbed(EndMode end_mode) {
  SimulatedSwarm swarm(ThreeHopsWithReplicas(end_mode));
  swarm.Begin(OnePrompt(kSteps), 128);
  REQUIRE(swarm.RunUntilTokens(kSteps, absl::Minutes(1)));
  CHECK(Failure(swarm) == "");
  REQUIRE(swarm.outcome().recoveries.empty());
  return swarm.outcome().tokens[0];
}

struct Fault {
  const char* name;
  void (*strike)(SimulatedSwarm& swarm, int server);
};

const Fault kFaults[] = {
    {"kill", [](SimulatedSwarm& swarm, int server) { swarm.Kill(server); }},
    {"freeze", [](SimulatedSwarm& swarm, int server) { swarm.Freeze(server); }},
    {"cut", [](SimulatedSwarm& swarm, int server) { swarm.Cut(server); }},
    {"restart", [](SimulatedSwarm& swarm, int server) { swarm.Restart(server); }},
    {"stop", [](SimulatedSwarm& swarm, int server) { swarm.Stop(server, absl::Seconds(5)); }},
};

void StrikeEveryStep(EndMode end_mode) {
  const std::vector<TokenId> expected = Undisturbed(end_mode);
  absl::Duration longest;
  int cases = 0;
  for (const Fault& fault : kFaults) {
    for (int hop = 0; hop < 3; ++hop) {
      for (int step = 0; step < kSteps; step += kStride) {
        INFO(fault.name << " of hop " << hop << " at token " << step);
        SimulatedSwarm swarm(ThreeHopsWithReplicas(end_mode));
        swarm.Begin(OnePrompt(kSteps), 128);
        REQUIRE(swarm.RunUntilTokens(step, absl::Minutes(1)));
        fault.strike(swarm, hop);
        REQUIRE(swarm.RunUntilTokens(kSteps, absl::Minutes(1)));
        const auto& outcome = swarm.outcome();
        REQUIRE(Failure(swarm) == "");
        REQUIRE(outcome.tokens[0] == expected);
        const std::vector<int> route = swarm.Route();
        REQUIRE(route.size() == 3);
        for (int other = 0; other < 3; ++other) {
          if (other != hop) REQUIRE(route[other] == other);  // nobody healthy was replaced
        }
        for (const Recovery& recovery : outcome.recoveries) {
          INFO(recovery.reason);
          REQUIRE((recovery.blamed.empty() || recovery.blamed == swarm.peer(hop)));
          REQUIRE(recovery.pause <= kLongestPause);
          longest = std::max(longest, recovery.pause);
        }
        ++cases;
      }
    }
  }
  std::printf("%s: %d cases, longest pause %.0f ms of manual time\n",
              end_mode == EndMode::kRing ? "ring" : "private ends", cases,
              absl::ToDoubleMilliseconds(longest));
}

TEST_CASE("in a ring a hop may fail in any way at any step", "[client][kill]") {
  StrikeEveryStep(EndMode::kRing);
}

TEST_CASE("with private ends a hop may fail in any way at any step", "[client][kill]") {
  StrikeEveryStep(EndMode::kPrivateEnds);
}

// The seed draws how long each message travels; those of no delay, what happens first.
TEST_CASE("a server may stop whatever its neighbours are doing", "[client][kill]") {
  const EndMode end_mode = GENERATE(EndMode::kRing, EndMode::kPrivateEnds);
  const std::vector<TokenId> expected = Undisturbed(end_mode);
  for (std::uint64_t seed = 1; seed <= 60; seed += kStride) {
    for (int hop = 0; hop < 3; ++hop) {
      INFO("seed " << seed << ", hop " << hop);
      SimulatedSwarm::Options options = ThreeHopsWithReplicas(end_mode);
      options.delay = seed % 2 == 0 ? absl::ZeroDuration() : kDelay;
      options.seed = seed;
      SimulatedSwarm swarm(options);
      swarm.Begin(OnePrompt(kSteps), 128);
      REQUIRE(swarm.RunUntilTokens(1 + seed % 20, absl::Minutes(1)));
      swarm.Stop(hop, absl::Seconds(5));
      REQUIRE(swarm.RunUntilTokens(kSteps, absl::Minutes(1)));
      REQUIRE(Failure(swarm) == "");
      REQUIRE(swarm.outcome().tokens[0] == expected);
      for (const Recovery& recovery : swarm.outcome().recoveries) {
        INFO(recovery.reason);
        REQUIRE(recovery.blamed.empty());
        REQUIRE(recovery.pause <= 20 * kDelay);
      }
      swarm.Leave();
      swarm.time().RunFor(2 * kDelay);
      REQUIRE(swarm.sessions() == 0);  // nowhere does it wait for its grace to end
    }
  }
}

TEST_CASE("a hop that another cannot reach is replaced", "[client][kill]") {
  const std::vector<TokenId> expected = Undisturbed(EndMode::kRing);
  const int step = GENERATE(0, 1, 30);
  SECTION("by a replica") {
    SimulatedSwarm swarm(ThreeHopsWithReplicas(EndMode::kRing));
    swarm.Begin(OnePrompt(kSteps), 128);
    REQUIRE(swarm.RunUntilTokens(step, absl::Minutes(1)));
    swarm.network().Cut(swarm.peer(0), swarm.peer(1));
    REQUIRE(swarm.RunUntilTokens(kSteps, absl::Minutes(1)));
    CHECK(Failure(swarm) == "");
    CHECK(swarm.outcome().tokens[0] == expected);
    CHECK(swarm.Route() == std::vector<int>{0, 4, 2});
    REQUIRE(swarm.outcome().recoveries.size() == 1);
    CHECK(swarm.outcome().recoveries[0].blamed == swarm.peer(1));
    CHECK(swarm.outcome().recoveries[0].pause <= kLongestPause);
  }
  SECTION("with an error that names it where there is none") {
    SimulatedSwarm swarm({.spans = {{0, 2}, {2, 4}, {4, 6}}});
    swarm.Begin(OnePrompt(kSteps), 128);
    REQUIRE(swarm.RunUntilTokens(step, absl::Minutes(1)));
    swarm.network().Cut(swarm.peer(0), swarm.peer(1));
    REQUIRE(swarm.RunUntilTokens(kSteps, absl::Minutes(1)));
    CHECK_THAT(Failure(swarm), Catch::Matchers::ContainsSubstring("[2, 4)"));
  }
}

TEST_CASE("a hop that reaches no next hop is replaced itself", "[client][kill]") {
  SimulatedSwarm swarm(ThreeHopsWithReplicas(EndMode::kRing));
  swarm.network().Cut(swarm.peer(0), swarm.peer(1));
  swarm.network().Cut(swarm.peer(0), swarm.peer(4));
  swarm.Begin(OnePrompt(kSteps), 128);
  REQUIRE(swarm.RunUntilTokens(kSteps, absl::Minutes(1)));
  CHECK(Failure(swarm) == "");
  CHECK(swarm.Route() == std::vector<int>{3, 4, 2});
}

TEST_CASE("without a replica the error names the missing blocks", "[client][kill]") {
  SimulatedSwarm swarm({.spans = {{0, 2}, {2, 4}, {4, 6}}});
  swarm.Begin(OnePrompt(kSteps), 128);
  REQUIRE(swarm.RunUntilTokens(10, absl::Minutes(1)));
  swarm.Kill(1);
  REQUIRE(swarm.RunUntilTokens(kSteps, absl::Minutes(1)));
  CHECK_THAT(Failure(swarm),
             Catch::Matchers::StartsWith("UNAVAILABLE: route: nobody serves blocks [2, 4)"));
}

TEST_CASE("a replica that came after the route was planned takes the place of a dead hop",
          "[client][kill]") {
  const EndMode end_mode = GENERATE(EndMode::kRing, EndMode::kPrivateEnds);
  const std::vector<TokenId> expected = Undisturbed(end_mode);
  const int dead = GENERATE(0, 1, 2);
  SimulatedSwarm swarm({.spans = {{0, 2}, {2, 4}, {4, 6}}, .end_mode = end_mode});
  swarm.Begin(OnePrompt(kSteps), 128);
  REQUIRE(swarm.RunUntilTokens(10, absl::Minutes(1)));
  swarm.Start({2 * dead, 2 * dead + 2});
  swarm.Kill(dead);
  REQUIRE(swarm.RunUntilTokens(kSteps, absl::Minutes(1)));
  CHECK(Failure(swarm) == "");
  CHECK(swarm.outcome().tokens[0] == expected);
  CHECK(swarm.Route()[dead] == 3);
}

TEST_CASE("two hops that die at once are both replaced by those who came later", "[client][kill]") {
  const std::vector<TokenId> expected = Undisturbed(EndMode::kRing);
  SimulatedSwarm swarm({.spans = {{0, 2}, {2, 4}, {4, 6}}});
  swarm.Begin(OnePrompt(kSteps), 128);
  REQUIRE(swarm.RunUntilTokens(10, absl::Minutes(1)));
  swarm.Start({0, 2});
  swarm.Start({2, 4});
  swarm.Kill(0);
  swarm.Kill(1);
  REQUIRE(swarm.RunUntilTokens(kSteps, absl::Minutes(1)));
  CHECK(Failure(swarm) == "");
  CHECK(swarm.outcome().tokens[0] == expected);
  CHECK(swarm.Route() == std::vector<int>{3, 4, 2});
}

TEST_CASE("a turn may begin while the chain looks for a replica", "[client][kill]") {
  const std::vector<TokenId> expected = Undisturbed(EndMode::kRing);
  SimulatedSwarm swarm({.spans = {{0, 2}, {2, 4}, {4, 6}}});
  swarm.Begin(OnePrompt(kSteps), 128);
  REQUIRE(swarm.RunUntilTokens(10, absl::Minutes(1)));
  swarm.Kill(1);
  swarm.time().RunFor(GENERATE(absl::Milliseconds(4), absl::Milliseconds(8), absl::Milliseconds(12),
                               absl::Milliseconds(18)));
  swarm.Start({2, 4});
  swarm.Begin(OnePrompt(kSteps), 128);
  REQUIRE(swarm.RunUntilTokens(kSteps, absl::Minutes(1)));
  CHECK(Failure(swarm) == "");
  CHECK(swarm.outcome().tokens[0] == expected);
}

TEST_CASE("a hop without a replica that restarts takes the session up again", "[client][kill]") {
  const std::vector<TokenId> expected = Undisturbed(EndMode::kRing);
  SimulatedSwarm swarm({.spans = {{0, 2}, {2, 4}, {4, 6}}});
  swarm.Begin(OnePrompt(kSteps), 128);
  REQUIRE(swarm.RunUntilTokens(10, absl::Minutes(1)));
  swarm.Restart(1);
  REQUIRE(swarm.RunUntilTokens(kSteps, absl::Minutes(1)));
  CHECK(Failure(swarm) == "");
  CHECK(swarm.outcome().tokens[0] == expected);
}

}  // namespace
}  // namespace fallow
