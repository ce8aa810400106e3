// Rings: the hops generate by themselves, token after token.
#include "catch2/catch_test_macros.hpp"
#include "tests/model/golden_files.h"
#include "tests/server/swarm_kit.h"

namespace fallow {
namespace {

const Golden& Llama() {
  static const Golden golden = GoldenNamed("llama");
  return golden;
}

std::vector<TokenId> Prompt() {
  return {Llama().prompt.begin(), Llama().prompt.begin() + kGreedyPrompt};
}

std::vector<TokenId> Expected(std::size_t count) {
  return {Llama().greedy.begin(), Llama().greedy.begin() + count};
}

std::vector<LocalServer*> Route(Swarm& swarm, const std::vector<BlockRange>& spans) {
  std::vector<LocalServer*> route;
  for (const BlockRange& span : spans) route.push_back(&swarm.Add(span));
  return route;
}

TEST_CASE("a ring generates what transformers does, over any number of hops", "[server][ring]") {
  const std::vector<std::vector<BlockRange>> routes = {
      {{0, 6}}, {{0, 3}, {3, 6}}, {{0, 2}, {2, 3}, {3, 6}}, {{0, 1}, {1, 2}, {2, 5}, {5, 6}}};
  for (const auto& spans : routes) {
    CAPTURE(spans.size());
    Swarm swarm;
    ScriptedClient client(swarm, Route(swarm, spans), {});
    client.OpenAll();
    swarm.Settle();
    for (std::size_t hop = 0; hop < spans.size(); ++hop) {
      REQUIRE(client.control(hop).opened() != nullptr);
      CHECK(client.control(hop).opened()->sequences(0).kv_len() == 0);
    }
    client.Begin({{.ids = Prompt()}}, 12);
    swarm.Settle();
    CHECK(client.tokens() == Expected(12));
  }
}

BlockServer::Options Exact() { return {.numeric_class = "exact", .weights = "q8"}; }

v1::Sampling Random() {
  v1::Sampling sampling = ScriptedClient::Greedy();
  sampling.set_do_sample(true);
  sampling.set_temperature(1.5);
  sampling.set_repetition_penalty(1.2);
  sampling.set_seed(7);
  return sampling;
}

// The golden prompt over and over.
std::vector<TokenId> LongPrompt(std::size_t size) {
  std::vector<TokenId> ids;
  while (ids.size() < size) ids.push_back(Llama().prompt[ids.size() % Llama().prompt.size()]);
  return ids;
}

// What one hop generates after each prompt, alone.
std::vector<TokenId> Alone(const std::vector<TokenId>& prompt, std::uint32_t count,
                           const v1::Sampling& sampling, std::uint32_t sequence = 0) {
  Swarm swarm;
  ScriptedClient client(swarm, {&swarm.Add({0, 6}, Exact())},
                        {.sequences = sequence + 1, .kv_tokens = 500});
  client.OpenAll();
  client.Begin({{.ids = prompt, .sequence = sequence}}, count, sampling);
  swarm.Settle();
  return client.tokens(sequence);
}

TEST_CASE("a batch of ragged prompts draws what each draws alone", "[server][ring]") {
  Swarm swarm;
  std::vector<LocalServer*> route = {&swarm.Add({0, 2}, Exact()), &swarm.Add({2, 4}, Exact()),
                                     &swarm.Add({4, 6}, Exact())};
  ScriptedClient client(swarm, route, {.sequences = 4, .kv_tokens = 500});
  client.OpenAll();
  std::vector<ScriptedClient::Turn> turns;
  for (const std::size_t size : {1, 17, 129, 400}) {
    turns.push_back(
        {.ids = LongPrompt(size), .sequence = static_cast<std::uint32_t>(turns.size())});
  }
  client.Begin(turns, 20, Random());
  swarm.Settle();
  for (const ScriptedClient::Turn& turn : turns) {
    CAPTURE(turn.ids.size());
    REQUIRE(client.tokens(turn.sequence).size() == 20);
    CHECK(client.tokens(turn.sequence) == Alone(turn.ids, 20, Random(), turn.sequence));
  }
}

TEST_CASE("how a prompt is cut into steps does not matter", "[server][ring]") {
  const std::vector<TokenId> prompt = LongPrompt(300);
  const std::vector<TokenId> expected = Alone(prompt, 10, Random());
  REQUIRE(expected.size() == 10);
  for (const std::size_t chunk : {1, 7, 128, 299}) {
    CAPTURE(chunk);
    Swarm swarm;
    ScriptedClient client(swarm, {&swarm.Add({0, 3}, Exact()), &swarm.Add({3, 6}, Exact())},
                          {.kv_tokens = 310});
    client.OpenAll();
    client.Begin({{.ids = {prompt.begin(), prompt.begin() + chunk}}}, 1, Random());
    swarm.Settle();
    client.NextEpoch();
    ScriptedClient::Turn turn{.ids = prompt, .keep = static_cast<std::uint32_t>(chunk)};
    client.Begin({turn}, 10, Random());
    swarm.Settle();
    CHECK(client.tokens() == expected);
  }
}

TEST_CASE("a ring runs at most 32 tokens past the last Ack", "[server][ring]") {
  Swarm swarm;
  ScriptedClient client(swarm, Route(swarm, {{0, 3}, {3, 6}}), {.kv_tokens = 200});
  client.OpenAll();
  client.Begin({{.ids = Prompt()}}, 150);
  swarm.Settle();
  CHECK(client.tokens().size() == 32);
  client.SendAck(1, {kGreedyPrompt + 1});
  swarm.Settle();
  CHECK(client.tokens().size() == 33);
  client.SendAck(1, {kGreedyPrompt + 33});
  swarm.Settle();
  CHECK(client.tokens().size() == 65);
  SECTION("and an Ack that takes nothing back changes nothing") {
    client.SendAck(1, {kGreedyPrompt});
    swarm.Settle();
    CHECK(client.tokens().size() == 65);
  }
  SECTION("and an Ack of an earlier epoch is no longer heard") {
    client.NextEpoch();
    client.SendAck(1, {kGreedyPrompt + 40});
    swarm.Settle();
    CHECK(client.control(1).error() == nullptr);
  }
}

TEST_CASE("a ring ends with a stop token, which is told but not computed", "[server][ring]") {
  Swarm swarm;
  ScriptedClient client(swarm, Route(swarm, {{0, 3}, {3, 6}}), {});
  client.OpenAll();
  client.Begin({{.ids = Prompt()}}, 12, ScriptedClient::Greedy(), {Llama().greedy[4]});
  swarm.Settle();
  CHECK(client.tokens() == Expected(5));
  client.OpenAll(/*resume=*/true);
  swarm.Settle();
  CHECK(client.control(0).opened()->sequences(0).kv_len() == kGreedyPrompt + 4);
  CHECK(client.control(1).opened()->sequences(0).kv_len() == kGreedyPrompt + 4);
  CHECK(client.control(1).opened()->started() == 1);
}

TEST_CASE("the last token needs no room in the cache", "[server][ring]") {
  Swarm swarm;
  ScriptedClient client(swarm, Route(swarm, {{0, 6}}), {.kv_tokens = kGreedyPrompt + 3});
  client.OpenAll();
  client.Begin({{.ids = Prompt()}}, 4);
  swarm.Settle();
  CHECK(client.tokens() == Expected(4));
}

TEST_CASE("a session goes on with a further prompt, and back to an earlier place",
          "[server][ring]") {
  Swarm swarm;
  ScriptedClient client(swarm, {&swarm.Add({0, 3}, Exact()), &swarm.Add({3, 6}, Exact())},
                        {.kv_tokens = 100});
  client.OpenAll();
  std::vector<TokenId> ids = Prompt();
  client.Begin({{.ids = ids}}, 6, Random());
  swarm.Settle();
  const std::vector<TokenId> answer = client.tokens();
  CHECK(answer == Alone(ids, 6, Random()));

  std::vector<TokenId> longer = ids;
  longer.insert(longer.end(), answer.begin(), answer.end());
  longer.insert(longer.end(), {9, 8, 7});
  const auto held = static_cast<std::uint32_t>(ids.size() + answer.size()) - 1;
  client.NextEpoch();  // no Open: the route is the same
  client.Begin({{.ids = longer, .keep = held}}, 6, Random());
  swarm.Settle();
  CHECK(client.tokens() == Alone(longer, 6, Random()));

  ids.push_back(5);
  client.NextEpoch();
  client.Begin({{.ids = ids, .keep = kGreedyPrompt}}, 6, Random());
  swarm.Settle();
  CHECK(client.tokens() == Alone(ids, 6, Random()));
}

TEST_CASE("a forked sequence goes its own way", "[server][ring]") {
  Swarm swarm;
  ScriptedClient client(swarm, {&swarm.Add({0, 3}, Exact()), &swarm.Add({3, 6}, Exact())},
                        {.sequences = 3, .kv_tokens = 100});
  client.OpenAll();
  const std::vector<TokenId> ids = LongPrompt(21);
  client.Begin({{.ids = ids}}, 1, Random());
  swarm.Settle();
  std::vector<ScriptedClient::Turn> turns;
  for (const int sequence : {0, 1, 2}) {
    std::vector<TokenId> forked = ids;
    forked.push_back(sequence + 3);
    turns.push_back({.ids = forked,
                     .keep = 21,
                     .sequence = static_cast<std::uint32_t>(sequence),
                     .fork_of = sequence == 0 ? -1 : 0});
  }
  client.NextEpoch();
  client.Begin(turns, 8, Random());
  swarm.Settle();
  for (const ScriptedClient::Turn& turn : turns) {
    CAPTURE(turn.sequence);
    CHECK(client.tokens(turn.sequence) == Alone(turn.ids, 8, Random(), turn.sequence));
  }
}

TEST_CASE("a hop may run fewer blocks than it holds, beside sessions that run others",
          "[server][ring]") {
  Swarm swarm;
  LocalServer& whole = swarm.Add({0, 6});
  LocalServer& end = swarm.Add({2, 6});
  ScriptedClient two(swarm, {&whole, &end}, {});
  two.open().mutable_route(0)->mutable_span()->set_end(4);
  two.open().mutable_route(1)->mutable_span()->set_begin(4);
  ScriptedClient one(swarm, {&whole}, {.self = NumberedPeer(101), .session = 't'});
  two.OpenAll();
  one.OpenAll();
  two.Begin({{.ids = Prompt()}}, 12);
  one.Begin({{.ids = Prompt()}}, 12);
  swarm.Settle();
  CHECK(two.tokens() == Expected(12));
  CHECK(one.tokens() == Expected(12));
  CHECK(whole.stats().sessions == 2);
}

TEST_CASE("beats are answered with what the hop has done since Start", "[server][ring]") {
  Swarm swarm;
  ScriptedClient client(swarm, Route(swarm, {{0, 3}, {3, 6}}), {});
  client.OpenAll();
  client.Begin({{.ids = Prompt()}}, 4);
  swarm.Settle();
  for (const std::size_t hop : {0, 1}) {
    v1::ControlUp message;
    message.mutable_beat()->set_nonce(77);
    client.Send(hop, message);
    swarm.Settle();
    REQUIRE(client.control(hop).messages.back().has_beat());
    const v1::Beat& beat = client.control(hop).messages.back().beat();
    CHECK(beat.nonce() == 77);
    CHECK(beat.rows_received() == kGreedyPrompt + 3);
    CHECK(beat.rows_done() == kGreedyPrompt + 3);
    CHECK(beat.queued_rows() == 0);
    CHECK(beat.rows_unsent() == 0);
    CHECK(beat.steps() == 3);
    CHECK(beat.steps_us() > 0);
    CHECK(beat.steps_us() < beat.computing_us());
  }
}

}  // namespace
}  // namespace fallow
