// With private ends: a last hop that returns something else than it was asked for.
#include "catch2/catch_test_macros.hpp"
#include "catch2/matchers/catch_matchers_string.hpp"
#include "tests/client/simulated_swarm.h"
#include "tests/model/golden_files.h"

namespace fallow {
namespace {

constexpr int kTokens = 16;
constexpr std::int64_t kPrompt = 20;

Turn OnePrompt() {
  const std::vector<TokenId> all = GoldenNamed("llama").prompt;
  SequenceTurn sequence{.ids = {all.begin(), all.begin() + kPrompt}};
  sequence.prompt = kPrompt;
  sequence.limit = kPrompt + kTokens;
  sequence.wanted = kPrompt - 1;
  return {.sequences = {sequence}, .sampling = {}, .stop_tokens = {}};
}

// The outputs of one server change on their way to the client, from the fifth on.
void Alter(SimulatedSwarm& swarm, int server, void (*change)(v1::Step&)) {
  swarm.network().Alter<v1::Frame>(swarm.peer(server), swarm.client(),
                                   [change](std::vector<v1::Frame>& frames) {
                                     for (v1::Frame& frame : frames) {
                                       if (frame.has_step() && frame.step().step_no() >= 5)
                                         change(*frame.mutable_step());
                                     }
                                   });
}

struct Lie {
  const char* name;
  const char* reason;
  void (*tell)(v1::Step& step);
};

const Lie kLies[] = {
    {"no runs", "bytes for", [](v1::Step& step) { step.clear_runs(); }},
    {"nothing at all", "bytes for", [](v1::Step& step) { step.Clear(), step.set_epoch(1); }},
    {"a run of no rows", "bytes for",
     [](v1::Step& step) {
       step.mutable_runs(0)->set_count(0);
       step.clear_rows();
     }},
    {"more rows than asked", "not asked for",
     [](v1::Step& step) {
       step.mutable_runs(0)->set_count(2);
       step.set_rows(step.rows() + step.rows());
     }},
    {"more rows than sent", "bytes for",
     [](v1::Step& step) { step.mutable_runs(0)->set_count(0xffffffff); }},
    {"the same rows in a second run", "not asked for",
     [](v1::Step& step) {
       *step.add_runs() = step.runs(0);
       step.set_rows(step.rows() + step.rows());
     }},
    {"truncated rows", "bytes for", [](v1::Step& step) { step.mutable_rows()->pop_back(); }},
    {"rows after the last run", "bytes for",
     [](v1::Step& step) { step.set_rows(step.rows() + step.rows()); }},
    {"another position", "not asked for",
     [](v1::Step& step) { step.mutable_runs(0)->set_position(step.runs(0).position() + 1); }},
    {"another sequence", "not asked for",
     [](v1::Step& step) { step.mutable_runs(0)->set_sequence(1); }},
};

TEST_CASE("a last hop that returns other rows than were asked for is replaced",
          "[client][hostile]") {
  SimulatedSwarm honest({.spans = {{0, 3}, {3, 6}}, .end_mode = EndMode::kPrivateEnds});
  honest.Begin(OnePrompt(), 64);
  REQUIRE(honest.RunUntilTokens(kTokens, absl::Minutes(1)));
  for (const Lie& lie : kLies) {
    CAPTURE(lie.name);
    SimulatedSwarm swarm({.spans = {{0, 3}, {3, 6}, {3, 6}}, .end_mode = EndMode::kPrivateEnds});
    Alter(swarm, 1, lie.tell);
    swarm.Begin(OnePrompt(), 64);
    REQUIRE(swarm.RunUntilTokens(kTokens, absl::Minutes(1)));
    CHECK_FALSE(swarm.outcome().failure.has_value());
    CHECK(swarm.outcome().tokens == honest.outcome().tokens);
    CHECK(swarm.Route() == std::vector<int>{0, 2});
    REQUIRE(swarm.outcome().recoveries.size() == 1);
    CHECK(swarm.outcome().recoveries[0].blamed == swarm.peer(1));
    CHECK_THAT(swarm.outcome().recoveries[0].reason,
               Catch::Matchers::ContainsSubstring(lie.reason));
  }
}

TEST_CASE("where nobody else serves its blocks, the error names it and what it did",
          "[client][hostile]") {
  for (const Lie& lie : kLies) {
    CAPTURE(lie.name);
    SimulatedSwarm swarm({.spans = {{0, 3}, {3, 6}}, .end_mode = EndMode::kPrivateEnds});
    Alter(swarm, 1, lie.tell);
    swarm.Begin(OnePrompt(), 64);
    REQUIRE(swarm.RunUntilTokens(kTokens, absl::Minutes(1)));
    REQUIRE(swarm.outcome().failure.has_value());
    CHECK(swarm.outcome().failure->code() == absl::StatusCode::kUnavailable);
    const std::string message(swarm.outcome().failure->message());
    CHECK_THAT(message, Catch::Matchers::ContainsSubstring("[3, 6)"));
    CHECK_THAT(message, Catch::Matchers::ContainsSubstring(swarm.peer(1).ToString()));
    CHECK_THAT(message, Catch::Matchers::ContainsSubstring(lie.reason));
  }
}

TEST_CASE("a last hop that keeps its outputs to itself is replaced", "[client][hostile]") {
  SimulatedSwarm swarm({.spans = {{0, 3}, {3, 6}, {3, 6}}, .end_mode = EndMode::kPrivateEnds});
  swarm.network().Alter<v1::Frame>(swarm.peer(1), swarm.client(),
                                   [](std::vector<v1::Frame>& frames) { frames.clear(); });
  swarm.Begin(OnePrompt(), 64);
  REQUIRE(swarm.RunUntilTokens(kTokens, absl::Minutes(2)));
  CHECK_FALSE(swarm.outcome().failure.has_value());
  CHECK(swarm.Route() == std::vector<int>{0, 2});
}

}  // namespace
}  // namespace fallow
