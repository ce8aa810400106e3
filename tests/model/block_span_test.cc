#include "model/block_span.h"

#include <algorithm>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <limits>

#include "model/alibi.h"
#include "tests/model/golden_files.h"
#include "tests/model/loaded_model.h"

namespace fallow {
namespace {

std::unique_ptr<LoadedModel> Llama() {
  return LoadedModel::Load(
             {.path = GoldenNamed("llama").path, .kernels = ChooseCpuKernels(nullptr)})
      .value();
}

TEST_CASE("a pass that is not allowed changes nothing", "[model][block_span]") {
  const auto model = Llama();
  KvCache& cache = model->cache(0);
  const auto a = cache.Open(16).value();
  const auto b = cache.Open(32).value();
  std::vector<float> hidden(300 * model->spec().hidden_size, 1);
  const auto forward = [&](std::vector<PassRun> runs, std::size_t rows) {
    std::vector<std::uint8_t> failed(rows);
    return model->span(0).Forward(runs, cache, hidden.data(), failed).code();
  };
  REQUIRE(forward({{a, 0, 3}}, 3) == absl::StatusCode::kOk);
  const std::vector<float> before = hidden;
  const auto invalid = absl::StatusCode::kInvalidArgument;
  CHECK(forward({{b, 0, 1}, {a, 2, 1}}, 2) == invalid);    // not at the end
  CHECK(forward({{b, 0, 1}, {a, 4, 1}}, 2) == invalid);    // beyond it
  CHECK(forward({{b, 0, 1}, {a, 3, 14}}, 15) == invalid);  // more than reserved
  CHECK(forward({{b, 0, 1}, {b, 0, 1}}, 2) == invalid);
  CHECK(forward({{b, 0, 1}, {b, 1, 1}}, 2) == invalid);
  CHECK(forward({{b, 0, 0}}, 0) == invalid);
  CHECK(forward({{b, 0, 1}, {99, 0, 1}}, 2) == invalid);  // unknown
  CHECK(forward({{b, 0, 2}}, 1) == invalid);              // rows that `failed` lacks
  CHECK(hidden == before);
  CHECK(cache.size(a) == 3);
  CHECK(cache.size(b) == 0);
  const auto c = cache.Open(300).value();
  CHECK(forward({{c, 0, 257}}, 257) == invalid);  // more than max_rows
  CHECK(forward({}, 0) == absl::StatusCode::kOk);
  CHECK(forward({{a, 3, 13}, {b, 0, 32}}, 45) == absl::StatusCode::kOk);
}

TEST_CASE("a cache of another layout is refused", "[model][block_span]") {
  const auto whole = Llama();
  const auto parts =
      LoadedModel::Load(
          {.path = GoldenNamed("llama").path, .kernels = ChooseCpuKernels(nullptr), .cuts = {2}})
          .value();
  const auto sequence = parts->cache(0).Open(16).value();
  std::vector<float> hidden(whole->spec().hidden_size);
  std::vector<std::uint8_t> failed(1);
  const PassRun run{sequence, 0, 1};
  CHECK(whole->span(0).Forward({&run, 1}, parts->cache(0), hidden.data(), failed).code() ==
        absl::StatusCode::kInvalidArgument);
}

TEST_CASE("rows that are not finite are named and spoil no other", "[model][block_span]") {
  for (const char* numeric_class : {"fp32", "bf16", "exact"}) {
    const auto model =
        LoadedModel::Load({.path = GoldenNamed("llama").path,
                           .numeric_class = numeric_class,
                           .weights = numeric_class == std::string("exact") ? "q8" : "auto",
                           .kernels = ChooseCpuKernels(nullptr)})
            .value();
    KvCache& cache = model->cache(0);
    const std::int64_t n = model->spec().hidden_size;
    std::vector<float> good(2 * n);
    REQUIRE(model->head().Embed(std::vector<TokenId>{5, 6}, good.data()).ok());
    for (float poison : {std::numeric_limits<float>::quiet_NaN(),
                         -std::numeric_limits<float>::infinity(), 0x1p41f}) {
      INFO(numeric_class << " " << poison);
      const auto a = cache.Open(16).value();
      const auto b = cache.Open(16).value();
      const auto c = cache.Open(16).value();
      std::vector<float> alone(good.begin(), good.begin() + n);
      std::vector<std::uint8_t> failed = {1};
      const PassRun lone{c, 0, 1};
      REQUIRE(model->span(0).Forward({&lone, 1}, cache, alone.data(), failed).ok());
      CHECK(failed[0] == 0);

      std::vector<float> hidden = good;
      hidden[n + 3] = poison;
      failed = {1, 0};
      const PassRun both[] = {{a, 0, 1}, {b, 0, 1}};
      REQUIRE(model->span(0).Forward(both, cache, hidden.data(), failed).ok());
      CHECK(failed == std::vector<std::uint8_t>{0, 1});
      CHECK(RelativeError(alone, std::span(hidden).first(n)) < 1e-5);
      for (auto id : {a, b, c}) cache.Close(id);
    }
  }
}

TEST_CASE("spans one after the other are the whole", "[model][block_span]") {
  const Golden golden = GoldenNamed("llama");
  for (std::vector<int> cuts : {std::vector<int>{1}, {3, 4}, {1, 2, 3, 4, 5}}) {
    const auto model =
        LoadedModel::Load({.path = golden.path, .kernels = ChooseCpuKernels(nullptr), .cuts = cuts})
            .value();
    const auto logits = model->Feed(model->Open(40), golden.prompt, 16);
    REQUIRE(logits.ok());
    CHECK(RelativeError(golden.logits, *logits) < 2e-5);
  }
}

TEST_CASE("a token outside the vocabulary is refused", "[model][head]") {
  const auto model = Llama();
  std::vector<float> hidden(2 * model->spec().hidden_size);
  for (TokenId bad : {-1, model->spec().vocab_size}) {
    const std::vector<TokenId> ids = {0, bad};
    CHECK(model->head().Embed(ids, hidden.data()).code() == absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("a shortlist of none, or of more than there are, is refused", "[model][head]") {
  const auto model = Llama();
  const std::vector<float> hidden(model->spec().hidden_size, 1.0f);
  std::vector<ShortlistEntry> best(model->spec().vocab_size + 1);
  std::uint8_t failed = 0;
  for (const int count : {0, -1, model->spec().vocab_size + 1}) {
    CAPTURE(count);
    CHECK(model->head().Shortlist(hidden.data(), 1, count, best.data(), &failed).code() ==
          absl::StatusCode::kInvalidArgument);
  }
}

// From the function published with the paper.
TEST_CASE("ALiBi slopes are geometric", "[model][block_span]") {
  CHECK(AlibiSlopes(1) == std::vector<float>{0x1p-8f});
  CHECK(AlibiSlopes(2) == std::vector<float>{0x1p-4f, 0x1p-8f});
  CHECK(AlibiSlopes(3) == std::vector<float>{0x1p-4f, 0x1p-8f, 0x1p-2f});
  const std::vector<float> twelve = AlibiSlopes(12);
  for (int i = 0; i < 8; ++i) CHECK(twelve[i] == std::ldexp(1.0f, -(i + 1)));
  for (int i = 0; i < 4; ++i) {
    CHECK(twelve[8 + i] == Catch::Approx(std::pow(2.0, -0.5 * (2 * i + 1))).epsilon(1e-7));
  }
  const std::vector<float> many = AlibiSlopes(112);
  for (int i = 0; i < 64; ++i) {
    CHECK(many[i] == Catch::Approx(std::pow(2.0, -0.125 * (i + 1))).epsilon(1e-7));
  }
  for (int i = 0; i < 48; ++i) {
    CHECK(many[64 + i] == Catch::Approx(std::pow(2.0, -0.0625 * (2 * i + 1))).epsilon(1e-7));
  }
}

}  // namespace
}  // namespace fallow
