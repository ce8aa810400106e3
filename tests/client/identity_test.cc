// One numeric class, one result: however a model is cut, served and asked, on whatever
// instructions.
#include <cstdlib>
#include <cstring>

#include "catch2/catch_test_macros.hpp"
#include "fallow/block_server.h"
#include "fallow/distributed_model.h"
#include "kernels/kernel_table.h"
#include "tests/model/golden_files.h"

namespace fallow {
namespace {

constexpr int kTokens = 32;

struct Hop {
  BlockRange blocks;
  std::string isa;  // that its kernels use
};

struct Result {
  std::vector<float> logits;  // of the whole prompt
  std::vector<TokenId> ring;
  std::vector<TokenId> private_ends;
};

// Sets FALLOW_ISA for the servers and models that are started while it lives.
class ForcedIsa {
 public:
  explicit ForcedIsa(const std::string& isa) { setenv("FALLOW_ISA", isa.c_str(), 1); }
  ~ForcedIsa() { unsetenv("FALLOW_ISA"); }
};

std::vector<TokenId> Generate(DistributedModel& model, const std::vector<TokenId>& prompt,
                              EndMode end_mode) {
  auto generation = model.Generate(
      prompt, {.max_new_tokens = kTokens, .ignore_end_tokens = true, .end_mode = end_mode},
      [](TokenId) { return true; });
  INFO(generation.status().ToString());
  REQUIRE(generation.ok());
  return generation->tokens[0];
}

// No hops: all in this process.
Result Run(const std::string& checkpoint, const std::string& numeric_class,
           const std::string& weights, const std::vector<Hop>& hops, const std::string& client_isa,
           const std::vector<TokenId>& prompt) {
  std::vector<std::unique_ptr<BlockServer>> servers;
  DistributedModel::Options options{.checkpoint = checkpoint};
  for (const Hop& hop : hops) {
    const ForcedIsa forced(hop.isa);
    auto server = BlockServer::Start({.checkpoint = checkpoint,
                                      .blocks = hop.blocks,
                                      .listen = "127.0.0.1:0",
                                      .numeric_class = numeric_class,
                                      .weights = weights,
                                      .threads = 2,
                                      .kv_memory = 16 << 20});
    INFO(server.status().ToString());
    REQUIRE(server.ok());
    options.peers.push_back((*server)->address());
    servers.push_back(*std::move(server));
  }
  const ForcedIsa forced(client_isa);
  options.numeric_class = hops.empty() ? numeric_class : "auto";
  options.weights = hops.empty() ? weights : "auto";
  options.threads = 1;
  auto model = DistributedModel::Load(options);
  INFO(model.status().ToString());
  REQUIRE(model.ok());
  auto logits = (*model)->Logits(prompt);
  INFO(logits.status().ToString());
  REQUIRE(logits.ok());
  return {*std::move(logits), Generate(**model, prompt, EndMode::kRing),
          Generate(**model, prompt, EndMode::kPrivateEnds)};
}

std::vector<std::string> Isas() {
  std::vector<std::string> names;
  for (const KernelTable* table : CpuKernels()) names.emplace_back(table->name);
  return names;
}

struct Checkpoint {
  const char* golden;
  const char* weights;
};

TEST_CASE("exact: the same bits in process, on any servers, cuts, ends and instructions",
          "[client][identity]") {
  for (const Checkpoint& row : {Checkpoint{"llama", "q8"}, Checkpoint{"gguf-mixed", "auto"}}) {
    const Golden golden = GoldenNamed(row.golden);
    const int blocks = golden.name == "llama" ? 6 : 2;
    const auto run = [&](const std::vector<Hop>& hops, const std::string& client_isa) {
      return Run(golden.path, "exact", row.weights, hops, client_isa, golden.prompt);
    };
    const std::vector<std::string> isas = Isas();
    const std::string fastest = isas.front(), generic = isas.back();
    const Result expected = run({}, fastest);
    CHECK(expected.ring == expected.private_ends);

    std::vector<std::pair<std::vector<Hop>, std::string>> ways;
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
      const Result result = run(hops, client_isa);
      REQUIRE(result.logits.size() == expected.logits.size());
      CHECK(std::memcmp(result.logits.data(), expected.logits.data(),
                        expected.logits.size() * sizeof(float)) == 0);
      CHECK(result.ring == expected.ring);
      CHECK(result.private_ends == expected.ring);
    }
  }
}

TEST_CASE("fp32: equal tokens in process and on any cuts", "[client][identity]") {
  const Golden golden = GoldenNamed("llama");
  const std::string isa = Isas().front();
  const std::vector<TokenId> prompt(golden.prompt.begin(), golden.prompt.begin() + 8);
  const Result expected = Run(golden.path, "fp32", "auto", {}, isa, prompt);
  CHECK(std::equal(expected.ring.begin(), expected.ring.end(), golden.greedy.begin()));
  for (const int cut : {1, 3, 5}) {
    const Result result =
        Run(golden.path, "fp32", "auto", {{{0, cut}, isa}, {{cut, 6}, isa}}, Isas().back(), prompt);
    CHECK(result.ring == expected.ring);
    CHECK(result.private_ends == expected.ring);
  }
}

}  // namespace
}  // namespace fallow
