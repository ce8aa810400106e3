// Golden models on the CUDA back end, in the emulator or on a GPU, beside the CPU.
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/cuda/backend.h"
#include "tests/model/golden_files.h"
#include "tests/model/loaded_model.h"

namespace fallow::test {
namespace {

// Of the largest logit, as in golden_test.cc.
constexpr double kFp32Tolerance = 2e-5;
constexpr double kBf16Tolerance = 0.05;

std::unique_ptr<LoadedModel> Load(LoadedModel::Options options) {
  options.kernels = ChooseCpuKernels(nullptr);
  auto model = LoadedModel::Load(options);
  INFO(model.status().ToString());
  REQUIRE(model.ok());
  return *std::move(model);
}

// The emulator, unless FALLOW_TEST_DEVICE asks for a GPU.
std::unique_ptr<Backend> MakeDevice(WorkerPool& pool) {
  const char* device = std::getenv("FALLOW_TEST_DEVICE");
  if (device == nullptr) return MakeCudaBackend(cuda::MakeEmulatedRuntime(), pool);
  REQUIRE(std::string(device) == "cuda");
  return MakeCudaBackend(cuda::OpenGpu(0).value(), pool);
}

std::unique_ptr<LoadedModel> LoadOnDevice(LoadedModel::Options options) {
  options.backend = MakeDevice;
  return Load(options);
}

template <typename T>
T Value(absl::StatusOr<T> result) {
  INFO(result.status().ToString());
  REQUIRE(result.ok());
  return *std::move(result);
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<TokenId> FirstOf(const Golden& golden, int count) {
  return {golden.prompt.begin(), golden.prompt.begin() + count};
}

TEST_CASE("exact: a device has the CPU's bits in any chunks", "[cuda][model]") {
  for (const auto& [name, weights] :
       {std::pair{"llama", "q8"}, {"gguf-mixed", "auto"}, {"gguf-IQ4_NL", "auto"}}) {
    const Golden golden = GoldenNamed(name);
    const LoadedModel::Options options = {
        .path = golden.path, .numeric_class = "exact", .weights = weights};
    const auto host = Load(options);
    const auto device = LoadOnDevice(options);
    const std::vector<TokenId> ids = FirstOf(golden, 24);
    const auto expected = Value(host->Feed(host->Open(64), ids, 64));
    for (const std::int64_t chunk : {1, 7, 64}) {
      INFO(name << " in chunks of " << chunk);
      CHECK(SameBits(Value(device->Feed(device->Open(64), ids, chunk)), expected));
    }
  }
}

TEST_CASE("exact: a device gives out the CPU's shortlists, and those that logits have",
          "[cuda][model]") {
  const Golden golden = GoldenNamed("gguf-mixed");
  const LoadedModel::Options options = {.path = golden.path, .numeric_class = "exact"};
  const auto host = Load(options);
  const auto device = LoadOnDevice(options);
  const std::vector<TokenId> ids = FirstOf(golden, 3);
  std::vector<float> hidden(ids.size() * host->spec().hidden_size);
  REQUIRE(host->head().Embed(ids, hidden.data()).ok());
  const std::int64_t vocab = host->spec().vocab_size;
  std::vector<float> logits(ids.size() * vocab);
  REQUIRE(host->head().Logits(hidden.data(), std::ssize(ids), logits.data()).ok());
  for (const std::int64_t count : {std::int64_t{1}, std::int64_t{20}, vocab}) {
    std::vector<ShortlistEntry> want(ids.size() * count);
    std::vector<std::uint8_t> failed(ids.size());
    kReferenceKernels.shortlist({.logits = logits.data(),
                                 .rows = std::ssize(ids),
                                 .n = vocab,
                                 .count = count,
                                 .best = want.data(),
                                 .failed = failed.data()},
                                {0, std::ssize(ids)});
    for (LoadedModel* model : {host.get(), device.get()}) {
      std::vector<ShortlistEntry> best(want.size());
      std::vector<std::uint8_t> bad(ids.size(), 1);
      REQUIRE(model->head()
                  .Shortlist(hidden.data(), std::ssize(ids), count, best.data(), bad.data())
                  .ok());
      CHECK(best == want);
      CHECK(bad == std::vector<std::uint8_t>(ids.size(), 0));
    }
  }
}

// Recorded passes of several sizes, over pages that are shared, copied, dropped and used again.
TEST_CASE("exact: a device has the CPU's bits in batches that fork, shrink and end",
          "[cuda][model]") {
  const Golden golden = GoldenNamed("gguf-mixed");
  const LoadedModel::Options options = {.path = golden.path, .numeric_class = "exact", .cuts = {1}};
  const auto host = Load(options);
  const auto device = LoadOnDevice(options);
  const std::vector<LoadedModel*> both = {host.get(), device.get()};
  std::vector<KvCache::SequenceId> open;
  const auto compare = [&](const std::vector<LoadedModel::Part>& parts) {
    const auto expected = Value(host->Pass(parts));
    CHECK(SameBits(Value(device->Pass(parts)), expected));
  };
  const auto step = [&](TokenId id) {
    std::vector<LoadedModel::Part> parts;
    for (const KvCache::SequenceId sequence : open) parts.push_back({sequence, {id++}});
    compare(parts);
  };
  for (int i = 0; i < 2; ++i) {
    KvCache::SequenceId sequence = 0;
    for (LoadedModel* model : both) sequence = model->Open(64);
    open.push_back(sequence);
    compare({{sequence, FirstOf(golden, 18 + i)}});
  }
  for (TokenId id = 5; id < 9; ++id) step(id);
  KvCache::SequenceId fork = 0;
  for (LoadedModel* model : both) fork = model->Fork(open[0], 20, 64);
  open.push_back(fork);
  for (TokenId id = 20; id < 24; ++id) step(id);
  for (LoadedModel* model : both) {
    model->Truncate(open[1], 3);
    model->Close(open[0]);
  }
  open.erase(open.begin());
  for (TokenId id = 30; id < 34; ++id) step(id);
  compare({{open[0], FirstOf(golden, 9)}, {open[1], {7}}});
}

TEST_CASE("fp32: a device has Hugging Face's logits and tokens", "[cuda][model]") {
  for (const char* name : {"llama", "bloom", "llama-bias", "llama-rope-dynamic", "mistral"}) {
    const Golden golden = GoldenNamed(name);
    const auto device = LoadOnDevice({.path = golden.path});
    const auto logits = Value(device->Feed(device->Open(128), golden.prompt, 16));
    INFO(name);
    CHECK(RelativeError(golden.logits, logits) < kFp32Tolerance);
    const std::vector<TokenId> expected(golden.greedy.begin(), golden.greedy.begin() + 8);
    CHECK(Value(device->Greedy(FirstOf(golden, kGreedyPrompt), 8, 64)) == expected);
  }
}

TEST_CASE("bf16: a device is near Hugging Face's fp32", "[cuda][model]") {
  for (const char* name : {"llama", "gguf-BF16", "bloom"}) {
    const Golden golden = GoldenNamed(name);
    const auto device = LoadOnDevice({.path = golden.path, .numeric_class = "bf16"});
    for (const std::int64_t chunk : {5, 64}) {
      INFO(name << " in chunks of " << chunk);
      const auto logits = Value(device->Feed(device->Open(128), golden.prompt, chunk));
      CHECK(RelativeError(golden.logits, logits) < kBf16Tolerance);
    }
  }
}

}  // namespace
}  // namespace fallow::test
