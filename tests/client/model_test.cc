// The public client on a golden model, without peers: all blocks run in this process.
#include <algorithm>

#include "catch2/catch_test_macros.hpp"
#include "catch2/matchers/catch_matchers_string.hpp"
#include "fallow/distributed_model.h"
#include "tests/model/golden_files.h"

namespace fallow {
namespace {

using Catch::Matchers::ContainsSubstring;

std::unique_ptr<DistributedModel> Load(const std::string& numeric_class,
                                       const std::string& weights) {
  auto model = DistributedModel::Load({.checkpoint = GoldenNamed("llama").path,
                                       .numeric_class = numeric_class,
                                       .weights = weights,
                                       .threads = 1,
                                       .kv_memory = 64 << 20});
  INFO(model.status().ToString());
  REQUIRE(model.ok());
  return *std::move(model);
}

std::vector<TokenId> Prompt(std::size_t tokens) {
  const std::vector<TokenId> all = GoldenNamed("llama").prompt;
  return {all.begin(), all.begin() + tokens};
}

bool Ignore(TokenId) { return true; }
bool IgnoreBatch(int, TokenId) { return true; }

GenerateOptions Greedy(int max_new_tokens, EndMode end_mode = EndMode::kRing) {
  return {.max_new_tokens = max_new_tokens, .ignore_end_tokens = true, .end_mode = end_mode};
}

std::vector<TokenId> Generated(DistributedModel& model, const std::vector<TokenId>& prompt,
                               const GenerateOptions& options) {
  auto generation = model.Generate(prompt, options, Ignore);
  INFO(generation.status().ToString());
  REQUIRE(generation.ok());
  return generation->tokens[0];
}

TEST_CASE("in fp32 a model generates what transformers does, in both end modes",
          "[client][model]") {
  auto model = Load("fp32", "auto");
  const Golden golden = GoldenNamed("llama");
  for (EndMode end_mode : {EndMode::kRing, EndMode::kPrivateEnds}) {
    CHECK(Generated(*model, Prompt(kGreedyPrompt), Greedy(64, end_mode)) == golden.greedy);
  }
  auto logits = model->Logits(golden.prompt);
  REQUIRE(logits.ok());
  REQUIRE(logits->size() == golden.logits.size());
  float error = 0;
  for (std::size_t i = 0; i < logits->size(); ++i) {
    error = std::max(error, std::abs((*logits)[i] - golden.logits[i]));
  }
  CHECK(error < 2e-3f);  // fp32 sums in another order; the logits reach about 10
}

TEST_CASE("a batch of unequal prompts gives each what it gets alone", "[client][model]") {
  auto model = Load("exact", "q8");
  const std::vector<std::vector<TokenId>> prompts = {Prompt(3), Prompt(20), Prompt(1), Prompt(40)};
  for (EndMode end_mode : {EndMode::kRing, EndMode::kPrivateEnds}) {
    auto batch = model->GenerateBatch(prompts, Greedy(40, end_mode), IgnoreBatch);
    INFO(batch.status().ToString());
    REQUIRE(batch.ok());
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      CHECK(batch->tokens[i] == Generated(*model, prompts[i], Greedy(40)));
      CHECK(batch->finish[i] == FinishReason::kLength);
    }
  }
}

TEST_CASE("a seed draws the same tokens in both end modes", "[client][model]") {
  auto model = Load("exact", "q8");
  GenerateOptions options = Greedy(48);
  options.sampling = {.do_sample = true,
                      .temperature = 1.3,
                      .top_k = 40,
                      .top_p = 0.95,
                      .repetition_penalty = 1.2,
                      .bad_words = {{7}, {1, 2}},
                      .seed = 11};
  const std::vector<TokenId> ring = Generated(*model, Prompt(9), options);
  CHECK(Generated(*model, Prompt(9), options) == ring);
  options.end_mode = EndMode::kPrivateEnds;
  CHECK(Generated(*model, Prompt(9), options) == ring);
  options.sampling.seed = 12;
  CHECK(Generated(*model, Prompt(9), options) != ring);
}

TEST_CASE("a stop token ends a generation, and so does the callback", "[client][model]") {
  auto model = Load("exact", "q8");
  const std::vector<TokenId> all = Generated(*model, Prompt(9), Greedy(60));
  GenerateOptions options = Greedy(60);
  options.stop_tokens = {all[10]};
  auto stopped = model->Generate(Prompt(9), options, Ignore);
  REQUIRE(stopped.ok());
  const auto first = std::find(all.begin(), all.end(), all[10]);
  CHECK(stopped->tokens[0] == std::vector<TokenId>(all.begin(), first + 1));
  CHECK(stopped->finish[0] == FinishReason::kStopToken);

  int seen = 0;
  auto cut = model->Generate(Prompt(9), Greedy(60), [&](TokenId) { return ++seen < 7; });
  REQUIRE(cut.ok());
  CHECK(cut->tokens[0] == std::vector<TokenId>(all.begin(), all.begin() + 7));
  CHECK(cut->finish[0] == FinishReason::kCallback);
  CHECK(seen == 7);
}

TEST_CASE("a session goes on where it stood, after a cut and a rewind too", "[client][session]") {
  auto model = Load("exact", "q8");
  for (EndMode end_mode : {EndMode::kRing, EndMode::kPrivateEnds}) {
    auto session = model->OpenSession();
    REQUIRE(session.ok());
    int seen = 0;
    auto first =
        (*session)->Generate(Prompt(9), Greedy(60, end_mode), [&](TokenId) { return ++seen < 12; });
    REQUIRE(first.ok());
    std::vector<TokenId> said = Prompt(9);
    said.insert(said.end(), first->tokens[0].begin(), first->tokens[0].end());
    CHECK((*session)->tokens() == said);

    const std::vector<TokenId> more = {5, 6, 7};
    auto second = (*session)->Generate(more, Greedy(30, end_mode), Ignore);
    REQUIRE(second.ok());
    said.insert(said.end(), more.begin(), more.end());
    CHECK(second->tokens[0] == Generated(*model, said, Greedy(30)));

    REQUIRE((*session)->Rewind(15).ok());
    said.resize(15);
    const std::vector<TokenId> other = {90, 91};
    auto third = (*session)->Generate(other, Greedy(30, end_mode), Ignore);
    REQUIRE(third.ok());
    said.insert(said.end(), other.begin(), other.end());
    CHECK(third->tokens[0] == Generated(*model, said, Greedy(30)));
    CHECK((*session)->Rewind(1000).code() == absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("forks share their beginning and go their own ways", "[client][session]") {
  auto model = Load("exact", "q8");
  auto session = model->OpenSession();
  REQUIRE(session.ok());
  REQUIRE((*session)->Generate(Prompt(20), Greedy(10), Ignore).ok());
  auto fork = (*session)->Fork();
  REQUIRE(fork.ok());
  const std::vector<TokenId> here = {3}, there = {4};
  std::vector<TokenId> said = (*session)->tokens();
  auto left = (*session)->Generate(here, Greedy(20), Ignore);
  auto right = (*fork)->Generate(there, Greedy(20), Ignore);
  REQUIRE(left.ok());
  REQUIRE(right.ok());
  said.push_back(3);
  CHECK(left->tokens[0] == Generated(*model, said, Greedy(20)));
  said.back() = 4;
  CHECK(right->tokens[0] == Generated(*model, said, Greedy(20)));
}

TEST_CASE("a reader slower than the ring gets every token", "[client][model]") {
  auto model = Load("exact", "q8");
  const std::vector<TokenId> all = Generated(*model, Prompt(9), Greedy(200));
  CHECK(all.size() == 200);
}

TEST_CASE("wrong requests are refused before anything is computed", "[client][model]") {
  auto model = Load("exact", "q8");
  const auto message = [&](const std::vector<TokenId>& prompt, GenerateOptions options) {
    auto refused = model->Generate(prompt, options, Ignore);
    CHECK(refused.status().code() == absl::StatusCode::kInvalidArgument);
    return std::string(refused.status().message());
  };
  CHECK_THAT(message({}, Greedy(1)), ContainsSubstring("empty"));
  CHECK_THAT(message({1, 100000}, Greedy(1)), ContainsSubstring("100000"));
  CHECK_THAT(message(std::vector<TokenId>(100000, 1), Greedy(1)), ContainsSubstring("100000"));
  CHECK_THAT(message({1}, Greedy(0)), ContainsSubstring("max_new_tokens"));
  GenerateOptions cold = Greedy(1);
  cold.sampling = {.do_sample = true, .temperature = 0};
  CHECK_THAT(message({1}, cold), ContainsSubstring("temperature"));
}

TEST_CASE("the route of a model without peers is the process", "[client][model]") {
  auto model = Load("exact", "q8");
  Generated(*model, Prompt(9), Greedy(8));
  const std::vector<RouteHop> route = model->route();
  REQUIRE(route.size() == 1);
  CHECK(route[0].address == "in process");
  CHECK(route[0].blocks == BlockRange{0, model->spec().num_blocks});
  CHECK(route[0].milliseconds_per_token > 0);
  CHECK(model->numeric_class().value() == "exact-1+q8");
}

}  // namespace
}  // namespace fallow
