// Sessions whose prompts begin alike: servers compute what they have in common once.
#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

#include "catch2/catch_test_macros.hpp"
#include "fallow/block_server.h"
#include "fallow/distributed_model.h"
#include "tests/client/idle_server.h"
#include "tests/model/golden_files.h"

namespace fallow {
namespace {

constexpr int kHead = 40;  // tokens in common, of which two pages are shared
constexpr int kShared = 32;
constexpr int kTail = 5;
constexpr int kNewTokens = 6;
constexpr int kUnsharedRows = kHead + kTail + kNewTokens - 1;  // the last token is not computed

const GenerateOptions kGreedy = {.max_new_tokens = kNewTokens, .ignore_end_tokens = true};

std::vector<TokenId> Prompt(int number) {
  std::vector<TokenId> prompt(kHead + kTail);
  std::iota(prompt.begin(), prompt.end(), 10);
  for (int i = kHead; i < kHead + kTail; ++i) prompt[i] = 100 + 7 * number + i;
  return prompt;
}

std::unique_ptr<BlockServer> Serve(BlockRange blocks, std::int64_t kv_memory = 16 << 20) {
  return BlockServer::Start({.checkpoint = GoldenNamed("llama").path,
                             .blocks = blocks,
                             .listen = "127.0.0.1:0",
                             .weights = "q8",
                             .threads = 1,
                             .kv_memory = kv_memory})
      .value();
}

// Without peers it runs here.
std::unique_ptr<DistributedModel> Connect(const std::vector<std::string>& peers) {
  return DistributedModel::Load({.checkpoint = GoldenNamed("llama").path,
                                 .peers = peers,
                                 .weights = peers.empty() ? "q8" : "auto",
                                 .threads = 1,
                                 .kv_memory = 16 << 20})
      .value();
}

std::vector<TokenId> Generated(DistributedModel& model, const std::vector<TokenId>& prompt,
                               EndMode end_mode = EndMode::kRing) {
  GenerateOptions options = kGreedy;
  options.end_mode = end_mode;
  return model.Generate(prompt, options, [](TokenId) { return true; })->tokens[0];
}

// By a model that has computed nothing before.
std::vector<TokenId> Expected(const std::vector<TokenId>& prompt) {
  return Generated(*Connect({}), prompt);
}

TEST_CASE("eight sessions compute the beginning of their prompts once", "[client][sharing]") {
  const auto first = Serve({0, 3});
  const auto last = Serve({3, 6});
  const auto model = Connect({first->address(), last->address()});
  std::vector<std::unique_ptr<Session>> open;
  for (int i = 0; i < 8; ++i) {
    CAPTURE(i);
    const EndMode end_mode = i % 3 == 2 ? EndMode::kPrivateEnds : EndMode::kRing;
    if (i % 2 == 0) {
      CHECK(Generated(*model, Prompt(i), end_mode) == Expected(Prompt(i)));
      continue;
    }
    open.push_back(model->OpenSession().value());
    GenerateOptions options = kGreedy;
    options.end_mode = end_mode;
    const auto generation = open.back()->Generate(Prompt(i), options, [](TokenId) { return true; });
    REQUIRE(generation.ok());
    CHECK(generation->tokens[0] == Expected(Prompt(i)));
  }
  const std::uint64_t rows = 8 * kUnsharedRows - 7 * kShared;
  CHECK(first->stats().rows == rows);
  CHECK(last->stats().rows == rows);
}

TEST_CASE("sequences of one session share what others of the client computed",
          "[client][sharing]") {
  const auto server = Serve({0, 6});
  const auto model = Connect({server->address()});
  Generated(*model, Prompt(0));
  const std::vector<std::vector<TokenId>> prompts = {Prompt(1), Prompt(2), Prompt(3)};
  const auto batch = model->GenerateBatch(prompts, kGreedy, [](int, TokenId) { return true; });
  REQUIRE(batch.ok());
  for (int i = 0; i < 3; ++i) CHECK(batch->tokens[i] == Expected(prompts[i]));
  CHECK(server->stats().rows == 4 * kUnsharedRows - 3 * kShared);
}

TEST_CASE("clients share nothing with each other", "[client][sharing]") {
  const auto server = Serve({0, 6});
  for (int client = 0; client < 2; ++client) {
    CHECK(Generated(*Connect({server->address()}), Prompt(0)) == Expected(Prompt(0)));
  }
  CHECK(server->stats().rows == 2 * kUnsharedRows);
}

TEST_CASE("a whole prompt that is known is computed from its last token on", "[client][sharing]") {
  const auto server = Serve({0, 6});
  const auto model = Connect({server->address()});
  std::vector<TokenId> prompt = Prompt(0);
  prompt.resize(kShared);
  const std::vector<TokenId> expected = Expected(prompt);
  const int rows = kShared + kNewTokens - 1;
  CHECK(Generated(*model, prompt) == expected);
  CHECK(Generated(*model, prompt) == expected);
  CHECK(server->stats().rows == rows + rows - (kShared - 1));
}

TEST_CASE("a conversation that went back shares only what it still holds", "[client][sharing]") {
  const auto server = Serve({0, 6});
  const auto model = Connect({server->address()});
  const auto session = model->OpenSession().value();
  const auto take = [](TokenId) { return true; };
  REQUIRE(session->Generate(Prompt(0), kGreedy, take).ok());
  REQUIRE(session->Rewind(20).ok());
  REQUIRE(session->Generate(std::vector<TokenId>(30, 77), kGreedy, take).ok());
  const std::uint64_t before = server->stats().rows;
  CHECK(Generated(*model, Prompt(1)) == Expected(Prompt(1)));
  CHECK(server->stats().rows - before == kUnsharedRows - 16);
}

TEST_CASE("a conversation that was forked and went back shares only what it still holds",
          "[client][sharing]") {
  const auto server = Serve({0, 6});
  const auto model = Connect({server->address()});
  const auto session = model->OpenSession().value();
  const auto take = [](TokenId) { return true; };
  REQUIRE(session->Generate(Prompt(0), kGreedy, take).ok());
  const auto fork = session->Fork().value();
  REQUIRE(fork->Generate(std::vector<TokenId>(3, 50), kGreedy, take).ok());
  REQUIRE(session->Rewind(20).ok());
  REQUIRE(session->Generate(std::vector<TokenId>(30, 77), kGreedy, take).ok());
  REQUIRE(fork->Rewind(1).ok());
  REQUIRE(fork->Generate(std::vector<TokenId>(60, 88), kGreedy, take).ok());
  const std::uint64_t before = server->stats().rows;
  CHECK(Generated(*model, Prompt(1)) == Expected(Prompt(1)));
  CHECK(server->stats().rows - before == kUnsharedRows - 16);
}

TEST_CASE("what is kept gives way to new sessions", "[client][sharing]") {
  const auto server = Serve({0, 6}, 256 << 10);
  const int room = static_cast<int>(server->stats().kv_tokens_capacity);
  REQUIRE(room < 8 * kShared);
  const auto model = Connect({server->address()});
  for (int i = 0; i < 8; ++i) {
    CAPTURE(i);
    std::vector<TokenId> prompt = Prompt(i);
    std::rotate(prompt.begin(), prompt.begin() + i, prompt.end());
    CHECK(Generated(*model, prompt).size() == kNewTokens);
    REQUIRE(BecomesIdle(*server));
  }
  const GenerateOptions all = {.max_new_tokens = room - kHead - kTail, .ignore_end_tokens = true};
  const auto whole = model->Generate(Prompt(0), all, [](TokenId) { return true; });
  INFO(whole.status().ToString());
  CHECK(whole.ok());
}

}  // namespace
}  // namespace fallow
