#include "kernels/profile.h"

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <numeric>
#include <string>

#include "kernels/limits/machine_limits.h"
#include "tests/kernels/kernel_test.h"
#include "tests/kernels/weights.h"

namespace fallow::test {
namespace {

double Products(const KernelWork& work, WeightType type) {
  return work.multiply_adds[static_cast<std::size_t>(type)];
}

TEST_CASE("a product reads its weights once, whatever the rows", "[kernels][profile]") {
  for (const std::int64_t rows : {1, 7}) {
    MatmulArgs args{.weight = {.type = WeightType::kQ4_1, .rows = 33, .cols = 96}};
    args.x = {.arithmetic = Arithmetic::kExact, .rows = rows, .k = 128};
    const KernelWork work = WorkOf(args);
    CHECK(work.stored_bytes == 3 * 10 * 128);  // panels of 16 rows, 10 bytes a padded k
    CHECK(Products(work, WeightType::kQ4_1) == 33 * 96 * rows);
    CHECK(work.all_multiply_adds() == 33 * 96 * rows);
  }
}

TEST_CASE("attention counts what its rows see", "[kernels][profile]") {
  struct Case {
    KvFormat format;
    std::int64_t position;
    std::int64_t rows;
    int window;
    double read;     // positions
    double visible;  // summed over rows
  };
  for (const Case& c : {Case{KvFormat::kQ8, 0, 1, 0, 1, 1},
                        {KvFormat::kBf16, 0, 4, 0, 4, 10},
                        {KvFormat::kFp32, 9, 2, 0, 11, 21},
                        {KvFormat::kQ8, 9, 2, 3, 4, 6}}) {
    CAPTURE(c.position, c.rows, c.window);
    AttentionArgs args{.heads = 6, .window = c.window};
    args.kv.layout = {.format = c.format, .blocks = 5, .kv_heads = 2, .head_dim = 64};
    const SequenceRun run{.rows = c.rows, .position = c.position};
    args.runs = {&run, 1};
    const KernelWork work = WorkOf(args);
    CHECK(work.stored_bytes == c.read * args.kv.layout.block_bytes() / 16);
    CHECK(work.all_multiply_adds() == 2 * c.visible * 6 * 64);
    const double floats = c.format == KvFormat::kBf16   ? 0
                          : c.format == KvFormat::kFp32 ? 2
                                                        : 1;  // of q8 the values
    CHECK(Products(work, WeightType::kFp32) == floats * c.visible * 6 * 64);
  }
}

TEST_CASE("the least time is that of the scarcest", "[kernels][profile]") {
  KernelLimits limits{.memory_bytes = 10, .cache_bytes = 100};
  limits.multiply_adds.fill(1000);
  KernelWork work{.stored_bytes = 20};
  CHECK(LeastSeconds(work, limits) == 2);
  work.row_bytes = 300;
  CHECK(LeastSeconds(work, limits) == 3);
  work.multiply_adds[0] = 2000;
  work.multiply_adds[3] = 2000;
  CHECK(LeastSeconds(work, limits) == 4);
}

TEST_CASE("limits of this machine are measured for every type of weights", "[kernels][profile]") {
  WorkerPool pool(2);
  for (const KernelTable* table : CpuKernels()) {
    const KernelLimits limits = *MeasureKernelLimits(pool, table->name, 1 << 20);
    CHECK(limits.memory_bytes > 0);
    CHECK(limits.cache_bytes > 0);
    for (const double rate : limits.multiply_adds) CHECK(rate > 0);
  }
  CHECK(absl::IsResourceExhausted(ReadLimit::Create(pool, std::int64_t{1} << 62).status()));
}

TEST_CASE("a profiling back end computes the same and counts its calls", "[kernels][profile]") {
  WorkerPool pool(2);
  KernelClock clock;
  const KernelTable& table = *CpuKernels().front();
  const auto plain = MakeHostBackend(table, pool);
  const auto timed = MakeProfilingBackend(MakeHostBackend(table, pool), clock);
  CHECK(timed->name() == plain->name());
  Random random(3);
  const std::vector<float> x = random.Many(3 * 64, 1);
  std::array<std::vector<float>, 2> results;
  for (const bool clocked : {false, true}) {
    Backend& backend = clocked ? *timed : *plain;
    Random weights(4);
    const Weight weight = backend.Pack(RandomWeights(WeightType::kQ8, 40, 64, weights)).value();
    const ActivationRows rows(Arithmetic::kExact, 3, 64);
    std::vector<float>& y = results[clocked];
    y.resize(3 * 40);
    backend.ToActivations({.x = x.data(), .rows = 3, .n = 64, .stride = 64, .out = rows.view()});
    const MatmulArgs args{.weight = weight.panels, .x = rows.view(), .y = y.data(), .stride = 40};
    backend.Matmul({&args, 1});
    backend.Matmul({&args, 1});
    CHECK(backend.Finish().ok());
  }
  CHECK(results[0] == results[1]);
  std::vector<KernelTime> times = clock.Take();
  REQUIRE(times.size() == 2);
  CHECK(times[0].seconds >= times[1].seconds);
  if (times[0].calls == 1) std::swap(times[0], times[1]);
  CHECK(times[0].kernel == "matmul q8 40x64");
  CHECK(times[0].calls == 2);
  CHECK(times[0].work.all_multiply_adds() == 2 * 3 * 40 * 64);
  CHECK(times[1].kernel == "activations");
  CHECK(clock.Take().empty());
}

}  // namespace
}  // namespace fallow::test
