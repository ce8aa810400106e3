// One numeric class, one result, for the model file that FALLOW_TEST_MODEL names:
// SmolLM2-135M-Instruct, whose tokens by transformers lie in tests/hf.
#include <cstdio>
#include <cstdlib>

#include "catch2/catch_test_macros.hpp"
#include "tests/client/cut_model.h"
#include "tests/model/golden_files.h"
#include "tests/model/loaded_model.h"

namespace fallow {
namespace {

constexpr int kTokens = 16;
constexpr int kHfTokens = 64;            // a prompt in the file of transformers' tokens
constexpr double kBf16Tolerance = 0.05;  // of the largest logit; as for the golden models
constexpr int kShort = 3;                // prompts: of 15 tokens
constexpr int kLong = 10;                // of 178, more than a chunk
constexpr int kCompany = 8;              // prompts at once, from one of these on
constexpr int kRaggedCompany = 8;        // of 6 to 178 tokens

using Prompts = std::vector<std::vector<TokenId>>;

std::string ModelPath() {
  const char* path = std::getenv("FALLOW_TEST_MODEL");
  if (path == nullptr) SKIP("FALLOW_TEST_MODEL names no model");
  return path;
}

std::string HfFile() { return FALLOW_SOURCE_DIR "/tests/hf/smollm2.safetensors"; }

Prompts AllPrompts() {
  const std::vector<TokenId> ids = TokensIn(HfFile(), "prompts");
  const std::vector<TokenId> begins = TokensIn(HfFile(), "prompt_begin");
  Prompts prompts;
  for (std::size_t i = 0; i + 1 < begins.size(); ++i) {
    prompts.emplace_back(ids.begin() + begins[i], ids.begin() + begins[i + 1]);
  }
  return prompts;
}

Prompts CompanyFrom(int begin) {
  const Prompts all = AllPrompts();
  return {all.begin() + begin, all.begin() + begin + kCompany};
}

// Transformers' first tokens after one of the prompts.
std::vector<TokenId> HfTokens(int prompt) {
  const std::vector<TokenId> all = TokensIn(HfFile(), "tokens");
  const auto begin = all.begin() + prompt * kHfTokens;
  return {begin, begin + kTokens};
}

std::vector<CutModel::Hop> ThreeHops(const std::string& first, const std::string& second,
                                     const std::string& third) {
  return {{{0, 10}, first}, {{10, 20}, second}, {{20, 30}, third}};
}

std::unique_ptr<LoadedModel> Load(const std::string& numeric_class, const KernelTable& kernels) {
  auto model = LoadedModel::Load(
      {.path = ModelPath(), .numeric_class = numeric_class, .kernels = &kernels, .threads = 2});
  INFO(model.status().ToString());
  REQUIRE(model.ok());
  return *std::move(model);
}

std::vector<float> Logits(LoadedModel& model, const std::vector<TokenId>& prompt,
                          std::int64_t chunk) {
  const auto sequence = model.Open(std::ssize(prompt));
  const auto logits = model.Feed(sequence, prompt, chunk);
  REQUIRE(logits.ok());
  model.Close(sequence);
  return *logits;
}

TEST_CASE("exact: a real model has the bits of the definition in process and on any servers",
          "[client][identity][real]") {
  const std::string path = ModelPath();
  const std::vector<TokenId> prompt = AllPrompts()[kShort];
  const auto definition = Load("exact", kExactKernels);
  const std::vector<float> logits = Logits(*definition, prompt, 128);
  const std::vector<TokenId> tokens = definition->Greedy(prompt, kTokens, 128).value();

  const std::vector<std::string> isas = Isas();
  const std::string fastest = isas.front(), second = isas[1 % isas.size()], generic = isas.back();
  std::vector<CutModel::Options> ways;
  for (const std::string& isa : isas) {
    ways.push_back({.hops = {}, .client_isa = isa});
    ways.push_back({.hops = {{{0, 30}, isa}}, .client_isa = fastest});
  }
  ways.push_back({.hops = ThreeHops(fastest, fastest, fastest), .client_isa = fastest});
  ways.push_back({.hops = ThreeHops(second, fastest, generic), .client_isa = generic});
  ways.push_back(
      {.hops = {{{0, 1}, fastest}, {{1, 29}, second}, {{29, 30}, fastest}}, .client_isa = second});
  ways.push_back({.hops = {{{0, 17}, fastest}, {{13, 30}, fastest}}, .client_isa = fastest});
  for (CutModel::Options& way : ways) {
    INFO(way.hops.size() << " servers, client on " << way.client_isa);
    way.checkpoint = path;
    CutModel model(way);
    CHECK(SameBits(model.Logits(prompt), logits));
    CHECK(model.Tokens(prompt, kTokens, EndMode::kRing) == tokens);
    CHECK(model.Tokens(prompt, kTokens, EndMode::kPrivateEnds) == tokens);
  }
}

TEST_CASE("exact: a real model has the same bits in chunks of 1 and 7 and 128",
          "[client][identity][real]") {
  const std::vector<TokenId> prompt = AllPrompts()[kLong];
  const auto model = Load("exact", *ChooseCpuKernels(nullptr));
  const std::vector<float> whole = Logits(*model, prompt, std::ssize(prompt));
  for (const std::int64_t chunk : {1, 7, 128}) {
    INFO("chunk " << chunk);
    CHECK(SameBits(Logits(*model, prompt, chunk), whole));
  }
}

TEST_CASE("exact: a real model has the same bits alone and beside seven others",
          "[client][identity][real]") {
  const std::string isa = Isas().front();
  CutModel model({.checkpoint = ModelPath(), .hops = ThreeHops(isa, isa, isa), .client_isa = isa});
  const Prompts prompts = CompanyFrom(kRaggedCompany);
  CheckAloneAndTogether(model, prompts, kTokens);
}

TEST_CASE("fp32: a real model has transformers' tokens however it is cut and asked",
          "[client][identity][real]") {
  const std::string path = ModelPath();
  const Prompts all = AllPrompts();
  const Prompts prompts = CompanyFrom(kRaggedCompany);
  const std::string fastest = Isas().front(), generic = Isas().back();
  const std::vector<std::vector<CutModel::Hop>> cuts = {
      {}, {{{0, 30}, fastest}}, ThreeHops(fastest, generic, fastest)};
  for (const auto& hops : cuts) {
    INFO(hops.size() << " servers");
    CutModel model(
        {.checkpoint = path, .numeric_class = "fp32", .hops = hops, .client_isa = fastest});
    CHECK(model.Tokens(all[kShort], kTokens, EndMode::kRing) == HfTokens(kShort));
    CHECK(model.Tokens(all[kShort], kTokens, EndMode::kPrivateEnds) == HfTokens(kShort));
    const auto batch = model.BatchTokens(prompts, kTokens, EndMode::kRing);
    for (int i = 0; i < kCompany; ++i) CHECK(batch[i] == HfTokens(kRaggedCompany + i));
  }
  const auto model = Load("fp32", *ChooseCpuKernels(nullptr));
  for (const std::int64_t chunk : {1, 7, 128}) {
    INFO("chunk " << chunk);
    CHECK(model->Greedy(all[kLong], kTokens, chunk).value() == HfTokens(kLong));
  }
}

TEST_CASE("bf16: a real model has logits near those of fp32 on any servers",
          "[client][identity][real]") {
  const std::string path = ModelPath();
  const std::vector<TokenId> prompt = AllPrompts()[kShort];
  const std::string fastest = Isas().front(), generic = Isas().back();
  const auto fp32 = Logits(*Load("fp32", *ChooseCpuKernels(nullptr)), prompt, 128);
  const std::vector<std::vector<CutModel::Hop>> cuts = {
      {}, {{{0, 30}, generic}}, ThreeHops(fastest, generic, fastest)};
  for (const auto& hops : cuts) {
    INFO(hops.size() << " servers");
    CutModel model(
        {.checkpoint = path, .numeric_class = "bf16", .hops = hops, .client_isa = fastest});
    const double error = RelativeError(fp32, model.Logits(prompt));
    std::printf("bf16, %zu servers: largest error %.1e of the largest logit\n", hops.size(), error);
    CHECK(error < kBf16Tolerance);
  }
}

}  // namespace
}  // namespace fallow
