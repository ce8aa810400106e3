// One numeric class, one result: however a model is cut, served and asked, on whatever
// instructions. real_identity_test.cc asks the same of a real model.
#include "catch2/catch_test_macros.hpp"
#include "tests/client/cut_model.h"
#include "tests/model/golden_files.h"
#include "tests/model/loaded_model.h"

namespace fallow {
namespace {

constexpr int kTokens = 32;
constexpr double kBf16Tolerance = 0.05;  // of the largest logit; see golden_test.cc

struct Checkpoint {
  const char* golden;
  const char* weights;
};

TEST_CASE("exact: the same bits in process, on any servers, cuts, ends and instructions",
          "[client][identity]") {
  for (const Checkpoint& row : {Checkpoint{"llama", "q8"}, Checkpoint{"gguf-mixed", "auto"}}) {
    const Golden golden = GoldenNamed(row.golden);
    const int blocks = golden.name == "llama" ? 6 : 2;
    const std::vector<std::string> isas = Isas();
    const std::string fastest = isas.front(), generic = isas.back();
    CutModel alone({.checkpoint = golden.path, .weights = row.weights, .client_isa = fastest});
    const std::vector<float> logits = alone.Logits(golden.prompt);
    const std::vector<TokenId> tokens = alone.Tokens(golden.prompt, kTokens, EndMode::kRing);

    std::vector<std::pair<std::vector<CutModel::Hop>, std::string>> ways;
    for (const std::string& isa : isas) {
      ways.push_back({{}, isa});
      ways.push_back({{{{0, blocks}, isa}}, fastest});
    }
    ways.push_back({{{{0, 1}, fastest}, {{1, blocks}, generic}}, isas[isas.size() / 2]});
    if (blocks == 6) {
      ways.push_back({{{{0, 2}, fastest}, {{2, 4}, generic}, {{4, 6}, isas[1]}}, generic});
      ways.push_back({{{{0, 3}, generic}, {{2, 6}, fastest}}, fastest});  // overlapping
      ways.push_back({{{{0, 1}, fastest}, {{1, 5}, fastest}, {{5, 6}, fastest}}, fastest});
    }
    for (const auto& [hops, client_isa] : ways) {
      INFO(golden.name << ", " << hops.size() << " servers, client on " << client_isa);
      CutModel model({.checkpoint = golden.path,
                      .weights = row.weights,
                      .hops = hops,
                      .client_isa = client_isa});
      CHECK(SameBits(model.Logits(golden.prompt), logits));
      CHECK(model.Tokens(golden.prompt, kTokens, EndMode::kRing) == tokens);
      CHECK(model.Tokens(golden.prompt, kTokens, EndMode::kPrivateEnds) == tokens);
    }
  }
}

TEST_CASE("exact: the same bits alone and beside seven others", "[client][identity]") {
  const Golden golden = GoldenNamed("llama");
  const std::string isa = Isas().front();
  CutModel model({.checkpoint = golden.path,
                  .weights = "q8",
                  .hops = {{{0, 2}, isa}, {{2, 4}, isa}, {{4, 6}, isa}},
                  .client_isa = isa});
  std::vector<std::vector<TokenId>> prompts;
  for (const int size : {1, 3, 7, 8, 16, 20, 31, 40}) {
    prompts.emplace_back(golden.prompt.begin(), golden.prompt.begin() + size);
  }
  CheckAloneAndTogether(model, prompts, kTokens);
}

TEST_CASE("fp32: equal tokens in process and on any cuts", "[client][identity]") {
  const Golden golden = GoldenNamed("llama");
  const std::string fastest = Isas().front(), generic = Isas().back();
  const std::vector<TokenId> prompt(golden.prompt.begin(), golden.prompt.begin() + kGreedyPrompt);
  const std::vector<TokenId> expected(golden.greedy.begin(), golden.greedy.begin() + kTokens);
  const std::vector<std::vector<CutModel::Hop>> cuts = {{},
                                                        {{{0, 1}, fastest}, {{1, 6}, fastest}},
                                                        {{{0, 3}, fastest}, {{3, 6}, generic}},
                                                        {{{0, 5}, generic}, {{5, 6}, fastest}}};
  for (const auto& hops : cuts) {
    INFO(hops.size() << " servers");
    CutModel model(
        {.checkpoint = golden.path, .numeric_class = "fp32", .hops = hops, .client_isa = generic});
    CHECK(model.Tokens(prompt, kTokens, EndMode::kRing) == expected);
    CHECK(model.Tokens(prompt, kTokens, EndMode::kPrivateEnds) == expected);
  }
}

TEST_CASE("bf16: logits near those of fp32 in process and on any cuts", "[client][identity]") {
  const Golden golden = GoldenNamed("llama");
  const std::string fastest = Isas().front(), generic = Isas().back();
  const std::vector<std::vector<CutModel::Hop>> cuts = {
      {}, {{{0, 6}, generic}}, {{{0, 2}, fastest}, {{2, 5}, generic}, {{5, 6}, fastest}}};
  for (const auto& hops : cuts) {
    INFO(hops.size() << " servers");
    CutModel model(
        {.checkpoint = golden.path, .numeric_class = "bf16", .hops = hops, .client_isa = fastest});
    CHECK(RelativeError(golden.logits, model.Logits(golden.prompt)) < kBf16Tolerance);
  }
}

}  // namespace
}  // namespace fallow
