// Servers on the emulated device beside servers on the CPU.
#include "catch2/catch_test_macros.hpp"
#include "tests/client/cut_model.h"
#include "tests/model/golden_files.h"
#include "tests/model/loaded_model.h"

namespace fallow {
namespace {

constexpr int kTokens = 12;
constexpr double kBf16Tolerance = 0.05;  // of the largest logit, as in identity_test.cc

std::vector<CutModel::Hop> ThreeHops(const std::vector<std::string>& devices) {
  const std::string isa = Isas().front();
  return {{{0, 2}, isa, devices[0]}, {{2, 4}, isa, devices[1]}, {{4, 6}, isa, devices[2]}};
}

TEST_CASE("exact: emulated GPUs, CPUs and both in one route have the same bits",
          "[client][device]") {
  const Golden golden = GoldenNamed("llama");
  const std::vector<TokenId> prompt(golden.prompt.begin(), golden.prompt.begin() + 20);
  const std::string gpu = "cuda-emulated", cpu = "cpu", isa = Isas().front();
  CutModel alone({.checkpoint = golden.path, .weights = "q8", .client_isa = isa});
  const std::vector<float> logits = alone.Logits(prompt);
  const std::vector<TokenId> tokens = alone.Tokens(prompt, kTokens, EndMode::kRing);
  for (const auto& devices :
       {std::vector{gpu, gpu, gpu}, std::vector{cpu, gpu, cpu}, std::vector{gpu, cpu, gpu}}) {
    INFO(devices[0] << ", " << devices[1] << ", " << devices[2]);
    CutModel model({.checkpoint = golden.path,
                    .weights = "q8",
                    .hops = ThreeHops(devices),
                    .client_isa = isa});
    CHECK(SameBits(model.Logits(prompt), logits));
    CHECK(model.Tokens(prompt, kTokens, EndMode::kRing) == tokens);
    CHECK(model.Tokens(prompt, kTokens, EndMode::kPrivateEnds) == tokens);
  }
}

TEST_CASE("fp32 and bf16: emulated GPUs agree with the CPU as far as the class says",
          "[client][device]") {
  const Golden golden = GoldenNamed("llama");
  const std::vector<TokenId> prompt(golden.prompt.begin(), golden.prompt.begin() + kGreedyPrompt);
  const auto hops = ThreeHops({"cuda-emulated", "cpu", "cuda-emulated"});
  const std::string isa = Isas().front();
  CutModel fp32(
      {.checkpoint = golden.path, .numeric_class = "fp32", .hops = hops, .client_isa = isa});
  const std::vector<TokenId> expected(golden.greedy.begin(), golden.greedy.begin() + kTokens);
  CHECK(fp32.Tokens(prompt, kTokens, EndMode::kRing) == expected);
  CutModel bf16(
      {.checkpoint = golden.path, .numeric_class = "bf16", .hops = hops, .client_isa = isa});
  CHECK(RelativeError(golden.logits, bf16.Logits(golden.prompt)) < kBf16Tolerance);
}

TEST_CASE("a device that there is not is refused by name", "[client][device]") {
  const std::string path = GoldenNamed("llama").path;
  const auto unknown =
      BlockServer::Start({.checkpoint = path, .listen = "127.0.0.1:0", .device = "abacus"});
  CHECK(absl::IsInvalidArgument(unknown.status()));
  CHECK(unknown.status().message().find("abacus") != absl::string_view::npos);
  const auto with_peers = DistributedModel::Load(
      {.checkpoint = path, .peers = {"127.0.0.1:1"}, .insecure = true, .device = "cpu"});
  CHECK(absl::IsInvalidArgument(with_peers.status()));
}

}  // namespace
}  // namespace fallow
