// The public client and servers over sockets, with TLS.
#include "absl/time/time.h"
#include "catch2/catch_test_macros.hpp"
#include "catch2/generators/catch_generators.hpp"
#include "catch2/matchers/catch_matchers_string.hpp"
#include "fallow/block_server.h"
#include "fallow/distributed_model.h"
#include "tests/client/idle_server.h"
#include "tests/model/golden_files.h"

namespace fallow {
namespace {

using Catch::Matchers::ContainsSubstring;

constexpr int kTokens = 48;

std::unique_ptr<BlockServer> Serve(BlockRange blocks, bool insecure = false) {
  auto server = BlockServer::Start({.checkpoint = GoldenNamed("llama").path,
                                    .blocks = blocks,
                                    .listen = "127.0.0.1:0",
                                    .insecure = insecure,
                                    .weights = "q8",
                                    .threads = 1,
                                    .kv_memory = 16 << 20});
  INFO(server.status().ToString());
  REQUIRE(server.ok());
  return *std::move(server);
}

std::unique_ptr<DistributedModel> Connect(const std::vector<BlockServer*>& servers,
                                          bool insecure = false) {
  DistributedModel::Options options{.checkpoint = GoldenNamed("llama").path, .insecure = insecure};
  for (const BlockServer* server : servers) options.peers.push_back(server->address());
  auto model = DistributedModel::Load(options);
  INFO(model.status().ToString());
  REQUIRE(model.ok());
  return *std::move(model);
}

std::vector<TokenId> Prompt() {
  const std::vector<TokenId> all = GoldenNamed("llama").prompt;
  return {all.begin(), all.begin() + 20};
}

std::vector<TokenId> Alone() {
  static const std::vector<TokenId> tokens = [] {
    auto model = DistributedModel::Load(
        {.checkpoint = GoldenNamed("llama").path, .weights = "q8", .threads = 1});
    return (*model)
        ->Generate(Prompt(), {.max_new_tokens = kTokens, .ignore_end_tokens = true},
                   [](TokenId) { return true; })
        ->tokens[0];
  }();
  return tokens;
}

// Both end modes, undisturbed, along this route.
void CheckTokens(DistributedModel& model, const std::vector<BlockServer*>& route) {
  for (EndMode end_mode : {EndMode::kRing, EndMode::kPrivateEnds}) {
    auto generation = model.Generate(
        Prompt(), {.max_new_tokens = kTokens, .ignore_end_tokens = true, .end_mode = end_mode},
        [](TokenId) { return true; });
    INFO(generation.status().ToString());
    REQUIRE(generation.ok());
    CHECK(generation->tokens[0] == Alone());
    CHECK(generation->recoveries.empty());
    REQUIRE(generation->route.size() == route.size());
    for (std::size_t i = 0; i < route.size(); ++i) {
      CHECK(generation->route[i].blocks == route[i]->blocks());
      CHECK(generation->route[i].peer == route[i]->peer());
      CHECK(route[i]->address().starts_with(generation->route[i].address + "#"));
    }
  }
}

TEST_CASE("three servers on sockets give the tokens of one process", "[client][sockets]") {
  auto a = Serve({0, 2}), b = Serve({2, 5}), c = Serve({5, 6});
  auto model = Connect({a.get(), b.get(), c.get()});
  CheckTokens(*model, {a.get(), b.get(), c.get()});
}

TEST_CASE("a server on a socket that stops is replaced in the middle of an answer",
          "[client][sockets]") {
  auto a = Serve({0, 2}), b = Serve({2, 6}), replica = Serve({2, 6});
  auto model = Connect({a.get(), b.get(), replica.get()});
  int seen = 0;
  auto generation = model->Generate(
      Prompt(), {.max_new_tokens = kTokens, .ignore_end_tokens = true}, [&](TokenId) {
        if (++seen == 10) b.reset();
        return true;
      });
  INFO(generation.status().ToString());
  REQUIRE(generation.ok());
  CHECK(generation->tokens[0] == Alone());
  CHECK(generation->route[1].peer == replica->peer());
}

TEST_CASE("a server on a socket that is asked to stop waits until its sessions have moved",
          "[client][sockets][stop]") {
  const EndMode end_mode = GENERATE(EndMode::kRing, EndMode::kPrivateEnds);
  const int victim = GENERATE(0, 1, 2);
  const BlockRange spans[] = {{0, 2}, {2, 5}, {5, 6}};
  auto a = Serve(spans[0]), b = Serve(spans[1]), c = Serve(spans[2]);
  auto replica = Serve(spans[victim]);
  const std::vector<BlockServer*> servers = {a.get(), b.get(), c.get(), replica.get()};
  auto model = Connect(servers);
  int seen = 0;
  auto generation = model->Generate(
      Prompt(), {.max_new_tokens = kTokens, .ignore_end_tokens = true, .end_mode = end_mode},
      [&](TokenId) {
        if (++seen != 10) return true;
        servers[victim]->Stop(absl::Hours(1));  // returns when its sessions have moved
        return true;
      });
  INFO(generation.status().ToString());
  REQUIRE(generation.ok());
  CHECK(generation->tokens[0] == Alone());
  CHECK(generation->route[victim].peer == replica->peer());
  for (const Recovery& recovery : generation->recoveries) {
    INFO(recovery.reason);
    CHECK(recovery.blamed.empty());
  }
  model.reset();
  for (const BlockServer* server : servers) CHECK(BecomesIdle(*server));
}

TEST_CASE("three servers without TLS give the tokens of one process", "[client][sockets]") {
  auto a = Serve({0, 2}, /*insecure=*/true), b = Serve({2, 5}, /*insecure=*/true);
  auto c = Serve({5, 6}, /*insecure=*/true);
  auto model = Connect({a.get(), b.get(), c.get()}, /*insecure=*/true);
  CheckTokens(*model, {a.get(), b.get(), c.get()});
}

TEST_CASE("one side with TLS and the other without do not meet", "[client][sockets]") {
  const bool insecure_server = GENERATE(false, true);
  auto server = Serve({0, 6}, insecure_server);
  auto model = Connect({server.get()}, !insecure_server);
  auto generation = model->Generate(Prompt(), {.max_new_tokens = 1}, [](TokenId) { return true; });
  INFO(generation.status().ToString());
  CHECK(generation.status().code() == absl::StatusCode::kUnavailable);
  CHECK_THAT(std::string(generation.status().message()), ContainsSubstring(server->address()));
  CHECK_THAT(std::string(generation.status().message()),
             ContainsSubstring(insecure_server ? "Tls handshake failed" : "asked without TLS"));
}

TEST_CASE("a new session beside a dead peer begins without it", "[client][sockets]") {
  auto a = Serve({0, 3}), b = Serve({3, 6}), dead = Serve({0, 6});
  auto model = Connect({dead.get(), a.get(), b.get()});
  dead.reset();
  auto generation =
      model->Generate(Prompt(), {.max_new_tokens = kTokens, .ignore_end_tokens = true},
                      [](TokenId) { return true; });
  INFO(generation.status().ToString());
  REQUIRE(generation.ok());
  CHECK(generation->tokens[0] == Alone());
}

TEST_CASE("errors on the way to a route say what is missing", "[client][sockets]") {
  auto a = Serve({0, 2});
  auto model = Connect({a.get()});
  auto generation = model->Generate(Prompt(), {.max_new_tokens = 1}, [](TokenId) { return true; });
  CHECK(generation.status().code() == absl::StatusCode::kUnavailable);
  CHECK_THAT(std::string(generation.status().message()), ContainsSubstring("[2, 6)"));

  auto wrong = DistributedModel::Load(
      {.checkpoint = GoldenNamed("llama-untied").path, .peers = {a->address()}});
  REQUIRE(wrong.ok());
  const std::vector<TokenId> short_prompt = {1, 2};
  generation =
      (*wrong)->Generate(short_prompt, {.max_new_tokens = 1}, [](TokenId) { return true; });
  CHECK(generation.status().code() == absl::StatusCode::kUnavailable);
  INFO(generation.status().ToString());
}

}  // namespace
}  // namespace fallow
