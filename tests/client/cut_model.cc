#include "tests/client/cut_model.h"

#include <cstdlib>
#include <cstring>
#include <thread>

#include "catch2/catch_test_macros.hpp"
#include "kernels/kernel_table.h"

namespace fallow {
namespace {

constexpr std::int64_t kKvMemory = 128 << 20;

// Sets FALLOW_ISA for the servers and models that are started while it lives.
class ForcedIsa {
 public:
  explicit ForcedIsa(const std::string& isa) { setenv("FALLOW_ISA", isa.c_str(), 1); }
  ~ForcedIsa() { unsetenv("FALLOW_ISA"); }
};

template <typename T>
T Value(absl::StatusOr<T> result) {
  INFO(result.status().ToString());
  REQUIRE(result.ok());
  return *std::move(result);
}

GenerateOptions Greedy(int count, EndMode end_mode) {
  return {.max_new_tokens = count, .ignore_end_tokens = true, .end_mode = end_mode};
}

}  // namespace

CutModel::CutModel(const Options& options)
    : client_{.checkpoint = options.checkpoint, .threads = 2, .kv_memory = kKvMemory},
      client_isa_(options.client_isa) {
  for (const Hop& hop : options.hops) {
    const ForcedIsa forced(hop.isa);
    servers_.push_back(Value(BlockServer::Start({.checkpoint = options.checkpoint,
                                                 .blocks = hop.blocks,
                                                 .listen = "127.0.0.1:0",
                                                 .numeric_class = options.numeric_class,
                                                 .weights = options.weights,
                                                 .threads = 2,
                                                 .device = hop.device,
                                                 .kv_memory = kKvMemory})));
    client_.peers.push_back(servers_.back()->address());
  }
  if (options.hops.empty()) {
    client_.numeric_class = options.numeric_class;
    client_.weights = options.weights;
  }
}

std::unique_ptr<DistributedModel> CutModel::NewClient() const {
  const ForcedIsa forced(client_isa_);
  std::unique_ptr<DistributedModel> model = Value(DistributedModel::Load(client_));
  // Private ends are loaded when first needed, and read FALLOW_ISA then.
  Value(model->Logits(std::vector<TokenId>{0}));
  return model;
}

std::vector<float> CutModel::Logits(const std::vector<TokenId>& prompt) {
  return Value(NewClient()->Logits(prompt));
}

std::vector<TokenId> CutModel::Tokens(const std::vector<TokenId>& prompt, int count,
                                      EndMode end_mode) {
  return Value(NewClient()->Generate(prompt, Greedy(count, end_mode), [](TokenId) { return true; }))
      .tokens[0];
}

std::vector<std::vector<TokenId>> CutModel::BatchTokens(
    const std::vector<std::vector<TokenId>>& prompts, int count, EndMode end_mode) {
  return Value(NewClient()->GenerateBatch(prompts, Greedy(count, end_mode),
                                          [](int, TokenId) { return true; }))
      .tokens;
}

std::vector<std::vector<float>> CutModel::LogitsAtOnce(
    const std::vector<std::vector<TokenId>>& prompts) {
  std::vector<absl::StatusOr<std::vector<float>>> results(prompts.size());
  const auto model = NewClient();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    threads.emplace_back([&, i] { results[i] = model->Logits(prompts[i]); });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<std::vector<float>> logits;
  for (auto& result : results) logits.push_back(Value(std::move(result)));
  return logits;
}

std::vector<std::string> Isas() {
  std::vector<std::string> names;
  for (const KernelTable* table : CpuKernels()) names.emplace_back(table->name);
  return names;
}

void CheckAloneAndTogether(CutModel& model, const std::vector<std::vector<TokenId>>& prompts,
                           int count) {
  const auto logits = model.LogitsAtOnce(prompts);
  const auto ring = model.BatchTokens(prompts, count, EndMode::kRing);
  const auto private_ends = model.BatchTokens(prompts, count, EndMode::kPrivateEnds);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    INFO("prompt " << i);
    CHECK(SameBits(logits[i], model.Logits(prompts[i])));
    CHECK(ring[i] == model.Tokens(prompts[i], count, EndMode::kRing));
    CHECK(private_ends[i] == ring[i]);
  }
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace fallow
