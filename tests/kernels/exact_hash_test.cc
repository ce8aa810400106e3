// Hashes of what the exact class computes, for all builds, compilers and machines to meet. A build
// that is only compared with itself proves nothing. They change with the class's name, never else.

#include <catch2/catch_test_macros.hpp>
#include <cmath>

#include "kernels/kernel_table.h"
#include "tests/kernels/kernel_test.h"
#include "tests/kernels/weights.h"

namespace fallow::test {
namespace {

// Hundreds of rows: a multiplication and an addition that a compiler fused show in one row of many,
// where a rounding was a near-tie.
struct ProductHash {
  WeightType type;
  std::int64_t m;
  std::int64_t n;
  std::int64_t k;
  std::uint64_t hash;
};

constexpr ProductHash kProducts[] = {
    {WeightType::kQ8, 400, 40, 96, 0xa4e7c2c311e4567d},
    {WeightType::kQ8, 300, 33, 576, 0x85027ef52bccc755},
    {WeightType::kQ8, 200, 16, 1536, 0xcf79f2b0822d2f3b},
    {WeightType::kQ4_0, 400, 40, 96, 0x41f882129fb946a0},
    {WeightType::kQ4_0, 300, 33, 576, 0x1ebcdf2b3dd55c97},
    {WeightType::kQ4_0, 200, 16, 1536, 0x5a3271a04bf59288},
    {WeightType::kQ4_1, 400, 40, 96, 0x9614ee8daa3e0f99},
    {WeightType::kQ4_1, 300, 33, 576, 0x3857584a2556f63f},
    {WeightType::kQ4_1, 200, 16, 1536, 0xac792fc9c4771707},
    {WeightType::kNl4, 400, 40, 96, 0xfe7d7a708bcbc4db},
    {WeightType::kNl4, 300, 33, 576, 0xd84bb2490e3ed736},
    {WeightType::kNl4, 200, 16, 1536, 0xe1f26d17f8d950e0},
};

// Rows as a model has them, some of them much larger or smaller, and some full of ties.
std::vector<float> HashedRows(std::int64_t rows, std::int64_t n, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> x = random.Many(rows * n, 3);
  for (std::int64_t row = 0; row < rows; ++row) {
    const int exponent = static_cast<int>(random.Bits() % 20) - 10;
    for (std::int64_t i = 0; i < n; ++i) {
      float& value = x[row * n + i];
      const bool tied = row % 10 == 3;
      value = tied ? std::round(value * 80) * 0.5f : std::ldexp(value, exponent);
      if (tied && i % kGroup == 5) value = 127;
    }
  }
  return x;
}

std::uint64_t HashOf(const KernelTable& kernels, const ProductHash& c) {
  Random random(c.n + c.k);
  const PackedWeight weight(RandomWeights(c.type, c.n, c.k, random));
  const std::vector<float> x = HashedRows(c.m, c.k, c.m);
  const ActivationRows activations(Arithmetic::kExact, c.m, c.k);
  kernels.activations(
      {.x = x.data(), .rows = c.m, .n = c.k, .stride = c.k, .out = activations.view()}, {0, c.m});
  const std::vector<float> bias = random.Many(c.n);
  std::vector<float> y = random.Many(c.m * c.n);
  const MatmulArgs args{.weight = weight.panels(),
                        .x = activations.view(),
                        .y = y.data(),
                        .stride = c.n,
                        .bias = bias.data(),
                        .add = true};
  kernels.matmul(args, {0, args.weight.count()});
  return Hash(y);
}

struct RoundingHash {
  Rounding rounding;
  std::uint64_t hash;
};

constexpr RoundingHash kRoundings[] = {{Rounding::kBf16, 0xae33ec4d58fe1688},
                                       {Rounding::kInt8, 0x97346c1617752e02}};

std::uint64_t HashOf(const KernelTable& kernels, const RoundingHash& c) {
  std::vector<float> x = HashedRows(600, 100, 9);
  std::vector<std::uint8_t> failed(600);
  kernels.round(
      {.x = x.data(), .rows = 600, .n = 100, .rounding = c.rounding, .failed = failed.data()},
      {0, 600});
  return Hash(x);
}

constexpr std::uint64_t kQuantised = 0x2c236b3b1a6c83b6;

std::uint64_t HashOfQuantised(const KernelTable& kernels) {
  const std::vector<float> x = HashedRows(1000, 100, 4);
  const ActivationRows out(Arithmetic::kExact, 1000, 100);
  kernels.activations({.x = x.data(), .rows = 1000, .n = 100, .stride = 100, .out = out.view()},
                      {0, 1000});
  return Hash(out.bytes());
}

std::vector<const KernelTable*> ExactTables() {
  std::vector<const KernelTable*> tables(TestedKernels().begin(), TestedKernels().end());
  tables.push_back(&kExactKernels);
  return tables;
}

TEST_CASE("exact products meet their hashes", "[kernels][matmul][exact]") {
  for (const KernelTable* kernels : ExactTables()) {
    for (const ProductHash& c : kProducts) {
      CAPTURE(kernels->name, Name(c.type), c.m, c.n, c.k);
      CHECK(HashOf(*kernels, c) == c.hash);
    }
  }
}

TEST_CASE("the quantiser and the rounding at block borders meet their hashes",
          "[kernels][quantize][exact]") {
  for (const KernelTable* kernels : ExactTables()) {
    CAPTURE(kernels->name);
    CHECK(HashOfQuantised(*kernels) == kQuantised);
    for (const RoundingHash& c : kRoundings) {
      CAPTURE(static_cast<int>(c.rounding));
      CHECK(HashOf(*kernels, c) == c.hash);
    }
  }
}

}  // namespace
}  // namespace fallow::test
