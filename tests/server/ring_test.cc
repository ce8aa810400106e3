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

}  // namespace
}  // namespace fallow
