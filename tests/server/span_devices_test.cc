// A span whose blocks lie on several devices computes as on one.
#include <catch2/catch_test_macros.hpp>
#include <random>
#include <vector>

#include "server/device.h"
#include "tests/model/golden_files.h"
#include "tests/model/loaded_model.h"

namespace fallow {
namespace {

constexpr std::int64_t kMaxRows = 64;
constexpr std::int64_t kPages = 20;

// The golden llama in the exact class, on devices of which all but the last take `blocks_each`.
class Span {
 public:
  Span(const std::string& names, int blocks_each) {
    backends_ = MakeBackends(names, *ChooseCpuKernels(nullptr), pool_).value();
    checkpoint_ = Checkpoint::Open(GoldenNamed("llama").path).value();
    const Family family = Family::For(*checkpoint_).value();
    spec = family.ReadSpec(*checkpoint_).value();
    const NumericClass exact = NumericClass::Choose("exact", "q8", *checkpoint_).value();
    const auto load = [&](std::int64_t bytes) {
      std::vector<SpanDevice> devices;
      for (const auto& backend : backends_) devices.push_back({backend.get(), bytes});
      return BlockSpan::Load(*checkpoint_, family, spec, {0, spec.num_blocks}, exact, kMaxRows,
                             devices)
          .value();
    };
    span = load(std::int64_t{1} << 40);
    if (blocks_each > 0) span = load(span->weight_bytes() / spec.num_blocks * blocks_each);
    cache = KvCache::Create(span->kv_places(), kPages).value();
  }

  std::vector<float> Run(const PassRun& run, unsigned seed, BlockRange blocks = {}) {
    std::minstd_rand random(seed);
    std::vector<float> hidden(run.rows * spec.hidden_size);
    for (float& number : hidden) number = std::uniform_real_distribution<float>(-1, 1)(random);
    std::vector<std::uint8_t> failed(run.rows);
    REQUIRE(span->Forward({&run, 1}, *cache, hidden.data(), failed, blocks).ok());
    CHECK(failed == std::vector<std::uint8_t>(run.rows, 0));
    return hidden;
  }

  std::vector<int> BlocksOfPlaces() const {
    std::vector<int> blocks;
    for (const KvPlace& place : span->kv_places()) blocks.push_back(place.layout.blocks);
    return blocks;
  }

 private:
  WorkerPool pool_{1};
  std::vector<std::unique_ptr<Backend>> backends_;
  std::unique_ptr<Checkpoint> checkpoint_;

 public:
  ModelSpec spec;
  std::unique_ptr<BlockSpan> span;
  std::unique_ptr<KvCache> cache;
};

// A prompt, a step, a fork amid a page, a step of each branch, a page that is used again, and a
// pass through some of the blocks only.
std::vector<std::vector<float>> Story(Span& s) {
  std::vector<std::vector<float>> outputs;
  const auto first = s.cache->Open(100).value();
  outputs.push_back(s.Run({first, 0, 37}, 1));
  outputs.push_back(s.Run({first, 37, 1}, 2));
  const auto branch = s.cache->Fork(first, 38, 60).value();
  outputs.push_back(s.Run({branch, 38, 1}, 3));
  outputs.push_back(s.Run({first, 38, 1}, 4));
  s.cache->Truncate(first, 20);
  outputs.push_back(s.Run({first, 20, 5}, 5));
  s.cache->Close(branch);
  const auto late = s.cache->Open(50).value();
  outputs.push_back(s.Run({late, 0, 17}, 6, {1, 5}));
  outputs.push_back(s.Run({late, 17, 2}, 7, {1, 5}));
  return outputs;
}

TEST_CASE("a span on CPUs and emulated GPUs has the bits of one device", "[server][device]") {
  Span one("cpu", 0);
  CHECK(one.BlocksOfPlaces() == std::vector{6});
  const auto expected = Story(one);
  struct Case {
    const char* devices;
    int blocks_each;
    std::vector<int> places;
  };
  const Case cases[] = {{"cpu,cpu", 4, {4, 2}},
                        {"cpu,cpu,cpu", 2, {2, 2, 2}},
                        {"cuda-emulated,cpu", 3, {3, 3}},
                        {"cpu,cuda-emulated,cpu", 1, {1, 1, 4}},
                        {"cuda-emulated,cpu", 0, {6}}};
  for (const Case& c : cases) {
    INFO(c.devices << ", " << c.blocks_each << " blocks each");
    Span several(c.devices, c.blocks_each);
    CHECK(several.BlocksOfPlaces() == c.places);
    CHECK(Story(several) == expected);
  }
}

}  // namespace
}  // namespace fallow
