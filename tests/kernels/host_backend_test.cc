#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernels/backend.h"
#include "tests/kernels/kernel_test.h"
#include "tests/kernels/weights.h"

namespace fallow::test {
namespace {

TEST_CASE("memory is zeroed, aligned and of the size asked for", "[kernels][backend]") {
  WorkerPool pool(1);
  const auto backend = MakeHostBackend(*CpuKernels().front(), pool);
  for (const std::int64_t bytes : {0, 1, 64, 4097, 1 << 20}) {
    const auto buffer = backend->Allocate(bytes);
    REQUIRE(buffer.ok());
    CHECK((*buffer)->size() == bytes);
    CHECK(reinterpret_cast<std::uintptr_t>((*buffer)->data()) % 64 == 0);
    for (std::int64_t i = 0; i < bytes; i += 511) CHECK((*buffer)->data()[i] == 0);
  }
}

TEST_CASE("memory that cannot be had is refused by status", "[kernels][backend]") {
  WorkerPool pool(1);
  const auto backend = MakeHostBackend(*CpuKernels().front(), pool);
  CHECK(absl::IsInvalidArgument(backend->Allocate(-1).status()));
  const auto too_much = backend->Allocate(std::numeric_limits<std::int64_t>::max());
  CHECK(absl::IsResourceExhausted(too_much.status()));
}

TEST_CASE("a reservation larger than memory costs nothing until it is touched",
          "[kernels][backend]") {
  WorkerPool pool(1);
  const auto backend = MakeHostBackend(*CpuKernels().front(), pool);
  const std::int64_t bytes = std::int64_t{1} << 40;
  const auto buffer = backend->Allocate(bytes);
  REQUIRE(buffer.ok());
  (*buffer)->data()[bytes - 1] = 1;
  CHECK((*buffer)->data()[bytes / 2] == 0);
}

TEST_CASE("weights whose parts do not fit their shape are refused", "[kernels][backend]") {
  WorkerPool pool(1);
  const auto backend = MakeHostBackend(*CpuKernels().front(), pool);
  Random random(1);
  for (const WeightType type : kWeightTypes) {
    CAPTURE(Name(type));
    const WeightRows whole = RandomWeights(type, 3, 64, random);
    CHECK(backend->Pack(whole).ok());
    std::vector<WeightRows> bad(5, whole);
    bad[0].rows = 4;
    bad[1].rows = -3;
    bad[2].cols = std::numeric_limits<std::int64_t>::max() / 2;
    bad[3].cols = 32;
    bad[4].values.push_back(0);
    bad[4].bf16.push_back(0);
    bad[4].codes.push_back(0);
    for (const WeightRows& weight : bad) {
      CHECK(absl::IsInvalidArgument(backend->Pack(weight).status()));
    }
  }
  WeightRows no_minima = RandomWeights(WeightType::kQ4_1, 3, 64, random);
  no_minima.minimum.clear();
  CHECK(absl::IsInvalidArgument(backend->Pack(no_minima).status()));
}

TEST_CASE("weights packed elsewhere are used where they lie", "[kernels][backend]") {
  WorkerPool pool(2);
  const auto backend = MakeHostBackend(*CpuKernels().front(), pool);
  Random random(2);
  for (const WeightType type : kWeightTypes) {
    CAPTURE(Name(type));
    const WeightRows rows = RandomWeights(type, 33, 96, random);
    const Weight packed = *backend->Pack(rows);
    std::shared_ptr<Buffer> memory = *backend->Allocate(packed.panels.bytes());
    const std::span<std::uint8_t> bytes(memory->data(), memory->size());
    REQUIRE(backend->PackTo(rows, bytes).ok());
    const auto used = backend->Use(packed.panels, memory);
    REQUIRE(used.ok());
    CHECK(used->panels.data == memory->data());
    CHECK(used->memory == memory);
    CHECK(std::equal(bytes.begin(), bytes.end(), packed.panels.data));

    CHECK(absl::IsInvalidArgument(backend->PackTo(rows, bytes.first(bytes.size() - 1))));
    Panels larger = packed.panels;
    larger.rows += kPanelRows;
    CHECK(absl::IsInvalidArgument(backend->Use(larger, memory).status()));
  }
}

TEST_CASE("packing by several threads gives what one gives", "[kernels][backend]") {
  WorkerPool pool(3);
  const auto backend = MakeHostBackend(*CpuKernels().front(), pool);
  for (const WeightType type : kWeightTypes) {
    for (const std::int64_t rows : {0, 1, 17, 100}) {
      CAPTURE(Name(type), rows);
      Random random(rows);
      const WeightRows weight = RandomWeights(type, rows, 96, random);
      const auto packed = backend->Pack(weight);
      REQUIRE(packed.ok());
      std::vector<std::uint8_t> want(packed->panels.bytes());
      PackPanels(weight, {0, packed->panels.count()}, want.data());
      REQUIRE(packed->memory->size() == std::ssize(want));
      CHECK(std::equal(want.begin(), want.end(), packed->memory->data()));
      CHECK(packed->panels.data == packed->memory->data());
    }
  }
}

TEST_CASE("weights stay what they are when others follow and the back end goes",
          "[kernels][backend]") {
  WorkerPool pool(1);
  auto backend = MakeHostBackend(*CpuKernels().front(), pool);
  std::vector<Weight> packed;
  std::vector<std::vector<std::uint8_t>> want;
  Random random(1);
  for (const std::int64_t rows : {1, 40, 17, 3000, 16}) {
    const WeightRows weight = RandomWeights(WeightType::kQ8, rows, 96, random);
    packed.push_back(*backend->Pack(weight));
    want.emplace_back(packed.back().panels.bytes());
    PackPanels(weight, {0, packed.back().panels.count()}, want.back().data());
  }
  backend = nullptr;
  for (std::size_t i = 0; i < packed.size(); ++i) {
    CHECK(std::equal(want[i].begin(), want[i].end(), packed[i].memory->data()));
  }
}

// Several products of one input, of different types and heights, as q, k and v are.
std::vector<std::vector<float>> Products(const KernelTable& kernels, int threads, std::int64_t m) {
  WorkerPool pool(threads);
  const auto backend = MakeHostBackend(kernels, pool);
  Random random(m);
  const std::int64_t k = 160;
  ActivationRows x(Arithmetic::kExact, m, k);
  const std::vector<float> values = random.Many(m * k);
  backend->ToActivations({.x = values.data(), .rows = m, .n = k, .stride = k, .out = x.view()});
  constexpr std::pair<WeightType, std::int64_t> kWeights[] = {{WeightType::kQ8, 200},
                                                              {WeightType::kNl4, 7},
                                                              {WeightType::kQ4_1, 90},
                                                              {WeightType::kQ4_0, 1}};
  std::vector<Weight> weights;
  std::vector<std::vector<float>> outputs;
  std::vector<MatmulArgs> products;
  for (const auto& [type, rows] : kWeights) {
    weights.push_back(*backend->Pack(RandomWeights(type, rows, k, random)));
    outputs.emplace_back(m * rows);
  }
  for (std::size_t i = 0; i < weights.size(); ++i) {
    products.push_back({.weight = weights[i].panels,
                        .x = x.view(),
                        .y = outputs[i].data(),
                        .stride = weights[i].panels.rows});
  }
  backend->Matmul(products);
  CHECK(backend->Finish().ok());
  return outputs;
}

TEST_CASE("several products in one call are the same for any number of threads",
          "[kernels][backend][exact]") {
  for (const std::int64_t m : {0, 1, 2, 3, 40}) {
    const auto want = Products(kExactKernels, 1, m);
    for (const int threads : {1, 2, 3, 7, 40}) {
      CAPTURE(m, threads);
      CHECK(Products(*CpuKernels().front(), threads, m) == want);
    }
  }
}

TEST_CASE("rows are shared out whole, few of them to nobody", "[kernels][backend][exact]") {
  for (const std::int64_t rows : {0, 1, 2, 3, 50}) {
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 3}) {
      WorkerPool pool(threads);
      const auto backend = MakeHostBackend(*CpuKernels().front(), pool);
      Random random(5);
      std::vector<float> x = random.Many(rows * 70);
      std::vector<std::uint8_t> failed(rows);
      if (rows > 0) x.back() = 0x1p41f;
      backend->Round({.x = x.data(),
                      .rows = rows,
                      .n = 70,
                      .rounding = Rounding::kInt8,
                      .failed = failed.data()});
      if (rows > 0) {
        CHECK(failed.back() == 1);
        x.resize(x.size() - 70);
      }
      results.push_back(x);
    }
    CHECK(SameBits(results[0], results[1]));
  }
}

TEST_CASE("instruction sets are chosen by name, the fastest without one", "[kernels][dispatch]") {
  const auto granted = CpuKernels();
  REQUIRE_FALSE(granted.empty());
  CHECK(std::string(granted.back()->name) == "generic");
  if (const char* expected = std::getenv("FALLOW_TEST_ISAS")) {  // of an emulated processor
    std::string names;
    for (const KernelTable* table : granted) absl::StrAppend(&names, " ", table->name);
    CHECK(names == absl::StrCat(" ", expected));
  }
  CHECK(ChooseCpuKernels(nullptr) == granted.front());
  for (const KernelTable* table : granted) CHECK(ChooseCpuKernels(table->name) == table);
  CHECK(ChooseCpuKernels("avx1024") == nullptr);
  CHECK(ChooseCpuKernels("") == nullptr);
  WorkerPool pool(1);
  CHECK(MakeHostBackend(*granted.back(), pool)->name() == "cpu generic");
}

}  // namespace
}  // namespace fallow::test
