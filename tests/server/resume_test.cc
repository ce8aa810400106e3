// Sessions that lose their client or a hop, and go on.
#include <utility>

#include "catch2/catch_test_macros.hpp"
#include "tests/model/golden_files.h"
#include "tests/server/swarm_kit.h"

namespace fallow {
namespace {

std::vector<TokenId> Prompt() {
  const Golden golden = GoldenNamed("llama");
  return {golden.prompt.begin(), golden.prompt.begin() + kGreedyPrompt};
}

std::vector<TokenId> Expected(std::size_t begin, std::size_t end) {
  const Golden golden = GoldenNamed("llama");
  return {golden.greedy.begin() + begin, golden.greedy.begin() + end};
}

std::vector<TokenId> Known(std::size_t generated) {
  std::vector<TokenId> known = Prompt();
  const std::vector<TokenId> tokens = Expected(0, generated);
  known.insert(known.end(), tokens.begin(), tokens.end());
  return known;
}

// Three hops and a client whose ring has generated five tokens.
struct Ring {
  explicit Ring(Swarm& swarm, BlockServer::Options options = {})
      : hops({&swarm.Add({0, 2}, options), &swarm.Add({2, 4}, options),
              &swarm.Add({4, 6}, options)}),
        client(swarm, hops, {}) {
    client.OpenAll();
    client.Begin({{.ids = Prompt()}}, 5);
    swarm.Settle();
    REQUIRE(client.tokens() == Expected(0, 5));
  }
  std::vector<LocalServer*> hops;
  ScriptedClient client;
};

TEST_CASE("a session survives its control stream for 30 seconds", "[server][resume]") {
  Swarm swarm;
  Ring ring(swarm);
  swarm.network.BreakStreams(NumberedPeer(100), ring.hops[1]->peer());
  swarm.time.RunFor(absl::Seconds(29));
  CHECK(ring.hops[1]->stats().sessions == 1);
  SECTION("and is resumed on a new one with its keys and values") {
    ring.client.DialControl(1);
    ring.client.OpenAll(/*resume=*/true);
    swarm.Settle();
    const v1::Opened* opened = ring.client.control(1).opened();
    REQUIRE(opened != nullptr);
    CHECK(opened->sequences(0).kv_len() == kGreedyPrompt + 4);
    CHECK(opened->sequences(0).outbox_begin() == 0);
    ring.client.Begin({{.ids = Known(5), .keep = kGreedyPrompt + 4}}, 5);
    swarm.time.RunFor(absl::Minutes(1));
    CHECK(ring.client.tokens() == Expected(5, 10));
    CHECK(ring.hops[1]->stats().sessions == 1);
  }
  SECTION("and is forgotten then") {
    swarm.time.RunFor(absl::Seconds(2));
    CHECK(ring.hops[1]->stats().sessions == 0);
    CHECK(ring.hops[1]->stats().kv_tokens_reserved == 0);
    ring.client.DialControl(1);
    ring.client.OpenAll(/*resume=*/true);
    swarm.Settle();
    CHECK(ring.client.control(1).error_code() == absl::StatusCode::kAborted);
    CHECK(ring.client.control(1).closed_with(absl::StatusCode::kAborted));
  }
}

TEST_CASE("a resumption takes the session from an older stream", "[server][resume]") {
  Swarm swarm;
  Ring ring(swarm);
  ScriptedClient other(swarm, ring.hops, {});  // the same peer, on new streams
  other.open().set_epoch(1);
  other.OpenAll(/*resume=*/true);
  swarm.Settle();
  for (const std::size_t hop : {0, 1, 2}) {
    CHECK(other.control(hop).opened() != nullptr);
    CHECK(ring.client.control(hop).closed_with(absl::StatusCode::kAborted));
    CHECK(ring.hops[hop]->stats().sessions == 1);
  }
  other.Begin({{.ids = Known(5), .keep = kGreedyPrompt + 4}}, 3);
  swarm.Settle();
  CHECK(other.tokens() == Expected(5, 8));
}

// Opens a route with a new hop in the middle: only that one starts empty.
void OpenWithSpare(Swarm& swarm, Ring& ring, LocalServer& spare, ScriptedClient& client) {
  client.open().set_epoch(ring.client.epoch());
  client.NextEpoch();
  for (const std::size_t hop : {0, 1, 2}) {
    client.open().set_resume(hop != 1);
    client.SendOpen(hop);
  }
  swarm.Settle();
  REQUIRE(client.control(1).opened() != nullptr);
  CHECK(client.control(1).opened()->sequences(0).kv_len() == 0);
  CHECK(spare.stats().sessions == 1);
}

TEST_CASE("a new hop is refilled from its upstream's outbox", "[server][resume]") {
  Swarm swarm;
  Ring ring(swarm);
  LocalServer& spare = swarm.Add({2, 4});
  swarm.network.Kill(ring.hops[1]->peer());
  swarm.Settle();
  ScriptedClient client(swarm, {ring.hops[0], &spare, ring.hops[2]}, {});
  OpenWithSpare(swarm, ring, spare, client);
  const std::vector<TokenId> known = Known(5);
  const auto held = static_cast<std::uint32_t>(known.size()) - 1;
  const std::uint64_t rows_before = ring.hops[0]->stats().rows;

  // What the first holds it sends again; the last waits for what it lacks.
  std::vector<v1::Start> starts(3);
  for (std::size_t hop = 0; hop < 3; ++hop) {
    starts[hop].set_epoch(client.epoch());
    v1::SequenceStart& sequence = *starts[hop].add_sequences();
    sequence.set_keep(hop == 1 ? 0 : held);
    sequence.set_send_from(hop == 0 ? 0 : held);
  }
  v1::Generation& generation = *starts[2].mutable_generation();
  *generation.mutable_sampling() = ScriptedClient::Greedy();
  v1::SequenceGeneration& sequence = *generation.add_sequences();
  sequence.set_known(held + 1);
  sequence.set_limit(held + 5);
  for (std::size_t hop = 0; hop < 3; ++hop) client.SendStart(hop, starts[hop]);
  const std::unique_ptr<DataEnd> feed = client.DialData(0);
  client.SendIds(*feed, 0, held, {known.back()});
  swarm.Settle();
  CHECK(client.tokens() == Expected(5, 9));
  CHECK(spare.stats().rows == held + 4);
  CHECK(ring.hops[0]->stats().rows == rows_before + 4);  // nothing was computed again
}

TEST_CASE("an outbox that was cut says so, and what is gone cannot be asked for",
          "[server][resume]") {
  Swarm swarm;
  // A chunk holds 128 rows of the tiny model.
  LocalServer& first = swarm.Add({0, 3}, {.max_outbox = 0});
  LocalServer& last = swarm.Add({3, 6});
  ScriptedClient client(swarm, {&first, &last}, {.kv_tokens = 400});
  client.OpenAll();
  const std::vector<TokenId> prompt(300, 17);
  client.Begin({{.ids = prompt}}, 1);
  swarm.Settle();
  REQUIRE(client.tokens().size() == 1);
  client.OpenAll(/*resume=*/true);
  swarm.Settle();
  const v1::SequenceState& state = client.control(0).opened()->sequences(0);
  CHECK(state.kv_len() == 300);
  CHECK(state.outbox_begin() == 256);
  v1::Start start = client.StartOf(0, {{.ids = prompt, .keep = 300}});
  start.mutable_sequences(0)->set_send_from(255);
  client.SendStart(0, start);
  swarm.Settle();
  CHECK(client.control(0).error_code() == absl::StatusCode::kAborted);
  CHECK(first.stats().sessions == 1);  // it may be reopened
}

TEST_CASE("the last hop samples again from what it holds", "[server][resume]") {
  Swarm swarm;
  Ring ring(swarm);
  ring.client.OpenAll(/*resume=*/true);
  // The client has lost the last two tokens; their rows are in the cache of every hop.
  ring.client.Begin({{.ids = Known(3), .keep = kGreedyPrompt + 3}}, 4);
  swarm.Settle();
  CHECK(ring.client.tokens() == Expected(3, 7));
}

TEST_CASE("a hop that cannot reach the next says whom it blames", "[server][resume]") {
  Swarm swarm;
  Ring ring(swarm);
  swarm.network.Kill(ring.hops[2]->peer());
  swarm.Settle();
  const v1::Error* error = ring.client.control(1).error();
  REQUIRE(error != nullptr);
  CHECK(error->code() == static_cast<std::uint32_t>(absl::StatusCode::kUnavailable));
  const PeerId& dead = ring.hops[2]->peer();
  CHECK(error->about_peer() == std::string(dead.bytes.begin(), dead.bytes.end()));
  CHECK(ring.client.control(0).error() == nullptr);
}

TEST_CASE("a link between hops that breaks before it was used is dialled again",
          "[server][resume]") {
  Swarm swarm;
  Ring ring(swarm);
  ring.client.OpenAll(/*resume=*/true);
  swarm.Settle();
  for (const auto& [a, b] : {std::pair(0, 1), std::pair(1, 2), std::pair(2, 0)}) {
    swarm.network.BreakStreams(ring.hops[a]->peer(), ring.hops[b]->peer());
    swarm.Settle();
  }
  ring.client.Begin({{.ids = Known(5), .keep = kGreedyPrompt + 4}}, 3);
  swarm.Settle();
  CHECK(ring.client.tokens() == Expected(5, 8));
  for (const std::size_t hop : {0, 1, 2}) CHECK(ring.client.control(hop).error() == nullptr);
  SECTION("but what breaks in use is reported") {
    swarm.network.BreakStreams(ring.hops[0]->peer(), ring.hops[1]->peer());
    swarm.Settle();
    CHECK(ring.client.control(0).error_code() == absl::StatusCode::kUnavailable);
    CHECK(ring.client.control(1).error() == nullptr);
  }
}

TEST_CASE("a data stream may come before its session", "[server][resume]") {
  Swarm swarm;
  LocalServer& server = swarm.Add({0, 6});
  ScriptedClient client(swarm, {&server}, {});
  client.NextEpoch();
  const std::unique_ptr<DataEnd> early = client.DialData(0);
  client.SendIds(*early, 0, 0, Prompt());
  SECTION("and waits for it") {
    swarm.time.RunFor(absl::Seconds(9));
    client.SendOpen(0);
    swarm.Settle();
    v1::Start start = client.StartOf(0, {{.ids = Prompt()}});
    client.SendStart(0, start);
    swarm.time.RunFor(absl::Minutes(1));
    CHECK(server.stats().rows == kGreedyPrompt);
    CHECK_FALSE(early->closed.has_value());
  }
  SECTION("but not for ever") {
    swarm.time.RunFor(absl::Seconds(11));
    CHECK(early->closed_with(absl::StatusCode::kPermissionDenied));
  }
}

TEST_CASE("room is made by sessions whose client is gone, those first that lost it first",
          "[server][resume]") {
  Swarm swarm;
  LocalServer& server = swarm.Add({0, 6});
  const auto capacity = static_cast<std::uint32_t>(server.stats().kv_tokens_capacity);
  const std::uint32_t half = capacity / 2 / 16 * 16;
  REQUIRE(half > 0);
  // Of the reservation's size the model says how much a sequence may have.
  const std::uint32_t sequences = half / 512;
  REQUIRE(sequences >= 1);
  const auto open = [&](char session, int peer) {
    auto client =
        std::make_unique<ScriptedClient>(swarm, std::vector<LocalServer*>{&server},
                                         ScriptedClient::Options{.self = NumberedPeer(peer),
                                                                 .sequences = sequences,
                                                                 .kv_tokens = 512,
                                                                 .session = session});
    client->OpenAll();
    swarm.Settle();
    return client;
  };
  const auto a = open('a', 101);
  const auto b = open('b', 102);
  REQUIRE(server.stats().sessions == 2);
  const auto refused = open('c', 103);
  CHECK(refused->control(0).error_code() == absl::StatusCode::kResourceExhausted);
  CHECK(refused->control(0).error()->retry_after_ms() > 0);
  CHECK(server.stats().sessions == 2);

  swarm.network.BreakStreams(NumberedPeer(102), server.peer());
  swarm.time.RunFor(absl::Seconds(1));
  swarm.network.BreakStreams(NumberedPeer(101), server.peer());
  swarm.time.RunFor(absl::Seconds(1));
  const auto d = open('d', 104);
  CHECK(d->control(0).opened() != nullptr);
  CHECK(server.stats().sessions == 2);
  a->DialControl(0);
  a->OpenAll(/*resume=*/true);
  b->DialControl(0);
  b->OpenAll(/*resume=*/true);
  swarm.Settle();
  CHECK(a->control(0).opened() != nullptr);
  CHECK(b->control(0).error_code() == absl::StatusCode::kAborted);
}

TEST_CASE("there are no more sessions than allowed", "[server][resume]") {
  Swarm swarm;
  LocalServer& server = swarm.Add({0, 6}, {.max_sessions = 1});
  ScriptedClient one(swarm, {&server}, {.self = NumberedPeer(101), .session = 'a'});
  ScriptedClient two(swarm, {&server}, {.self = NumberedPeer(102), .session = 'b'});
  one.OpenAll();
  two.OpenAll();
  swarm.Settle();
  CHECK(two.control(0).error_code() == absl::StatusCode::kResourceExhausted);
  v1::ControlUp close;
  close.mutable_close();
  one.Send(0, close);
  two.DialControl(0);
  two.OpenAll();
  swarm.Settle();
  CHECK(one.control(0).closed_with(absl::StatusCode::kOk));
  CHECK(two.control(0).opened() != nullptr);
}

TEST_CASE("a session without a step for ten minutes is closed", "[server][resume]") {
  Swarm swarm;
  Ring ring(swarm);
  swarm.time.RunFor(absl::Minutes(9));
  ring.client.NextEpoch();
  ring.client.Begin({{.ids = Known(5), .keep = kGreedyPrompt + 4}}, 1);
  swarm.time.RunFor(absl::Minutes(9));
  CHECK(ring.hops[0]->stats().sessions == 1);
  swarm.time.RunFor(absl::Minutes(2));
  CHECK(ring.hops[0]->stats().sessions == 0);
  CHECK(ring.client.control(0).error_code() == absl::StatusCode::kDeadlineExceeded);
}

TEST_CASE("a session grows when it is resumed", "[server][resume]") {
  Swarm swarm;
  Ring ring(swarm);
  ring.client.open().set_sequences(2);
  ring.client.open().set_kv_tokens(100);
  ring.client.OpenAll(/*resume=*/true);
  swarm.Settle();
  REQUIRE(ring.client.control(0).opened()->sequences_size() == 2);
  CHECK(ring.client.control(0).opened()->max_positions() == 100);
  CHECK(ring.hops[0]->stats().kv_tokens_reserved == 2 * 112);
  ring.client.Begin(
      {{.ids = Known(5), .keep = kGreedyPrompt + 4}, {.ids = Prompt(), .sequence = 1}}, 5);
  swarm.Settle();
  CHECK(ring.client.tokens(0) == Expected(5, 10));
  CHECK(ring.client.tokens(1) == Expected(0, 5));

  ring.client.open().set_kv_tokens(99);
  ring.client.OpenAll(/*resume=*/true);
  swarm.Settle();
  CHECK(ring.client.control(0).error_code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("a session that is opened anew begins from nothing", "[server][resume]") {
  Swarm swarm;
  Ring ring(swarm);
  ring.client.OpenAll(/*resume=*/false);
  swarm.Settle();
  CHECK(ring.client.control(0).opened()->sequences(0).kv_len() == 0);
  ring.client.Begin({{.ids = Prompt()}}, 5);
  swarm.Settle();
  CHECK(ring.client.tokens() == Expected(0, 5));
  CHECK(ring.hops[0]->stats().sessions == 1);
}

}  // namespace
}  // namespace fallow
