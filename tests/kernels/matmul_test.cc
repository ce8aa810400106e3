#include "kernels/matmul/matmul.h"

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <limits>

#include "tests/kernels/kernel_test.h"
#include "tests/kernels/weights.h"

namespace fallow::test {
namespace {

struct MatmulCase {
  std::int64_t m;  // rows of activations
  std::int64_t n;  // rows of the weight
  std::int64_t k;
  bool bias = false;
  bool add = false;
};

// No row and one; every size of tile; 16 rows of a panel, 64 or 128 of a block, 512 of a segment,
// 4096 of a block's segments and what is left over; a model's sizes.
constexpr MatmulCase kCases[] = {
    {0, 48, 64},
    {1, 1, 32},
    {1, 16, 64},
    {1, 17, 96, true},
    {2, 48, 512, false, true},
    {3, 31, 544, true, true},
    {4, 33, 32},
    {5, 80, 576, true},
    {6, 64, 1024},
    {7, 50, 160, false, true},
    {8, 96, 1536, true, true},
    {9, 40, 96},
    {13, 100, 192, true, true},
    {31, 7, 224},
    {32, 64, 576},
    {33, 47, 96, true, true},
    {64, 16, 1056},
    {70, 33, 32, true},
    {130, 83, 160, false, true},
    {200, 70, 224, true, true},
    {1, 960, 576},
    {1, 30, 4096},
    {1, 18, 4672, false, true},
    {6, 20, 8800, true},
};

// A block's products of models of 135 M and 8 B parameters: decode, a batch, a prompt.
constexpr MatmulCase kLongCases[] = {
    {1, 3072, 576},  {16, 576, 1536, false, true}, {200, 960, 576}, {1, 4096, 14336},
    {8, 6144, 4096},
};

// Beyond the last column of each row of y; must be left as it is.
constexpr float kUntouched = 12345.0f;
constexpr std::int64_t kBeyond = 21;

struct MatmulData {
  MatmulData(const MatmulCase& c, WeightType type, Arithmetic arithmetic)
      : matmul_case(c),
        random(c.m * 10000 + c.n * 100 + c.k),
        weight(RandomWeights(type, c.n, c.k, random)),
        x(arithmetic, c.m, c.k),
        bias(random.Many(c.n)),
        residual(c.m * stride(), kUntouched) {
    const std::vector<float> values = random.Many(c.m * c.k, 2);
    const KernelTable& kernels =
        arithmetic == Arithmetic::kExact ? kExactKernels : kReferenceKernels;
    kernels.activations({.x = values.data(), .rows = c.m, .n = c.k, .stride = c.k, .out = x.view()},
                        {0, c.m});
    for (std::int64_t row = 0; row < c.m; ++row) {
      for (std::int64_t i = 0; i < c.n; ++i) residual[row * stride() + i] = random.Next();
    }
  }

  std::int64_t stride() const { return matmul_case.n + kBeyond; }

  MatmulArgs args(float* y) const {
    return {.weight = weight.panels(),
            .x = x.view(),
            .y = y,
            .stride = stride(),
            .bias = matmul_case.bias ? bias.data() : nullptr,
            .add = matmul_case.add};
  }

  MatmulCase matmul_case;
  Random random;
  PackedWeight weight;
  ActivationRows x;
  std::vector<float> bias;
  std::vector<float> residual;
};

std::vector<float> Product(const KernelTable& kernels, const MatmulData& data,
                           bool in_pieces = false) {
  std::vector<float> y = data.residual;
  const MatmulArgs args = data.args(y.data());
  const auto run = [&](Range panels) { kernels.matmul(args, panels); };
  if (in_pieces) {
    InPieces(args.weight.count(), run);
  } else {
    Whole(args.weight.count(), run);
  }
  return y;
}

TEST_CASE("exact products are near those in double precision", "[kernels][matmul][exact]") {
  // Both use the same codes and scales, so what remains is rounding of the sums: about
  // sqrt(K) * 2^-24 of sums of a few units.
  constexpr double kTolerance = 2e-5;
  for (const WeightType type : kQuantisedTypes) {
    for (const MatmulCase& c : kCases) {
      CAPTURE(Name(type), c.m, c.n, c.k);
      const MatmulData data(c, type, Arithmetic::kExact);
      CHECK(LargestError(Product(kExactKernels, data), Product(kReferenceKernels, data)) <
            kTolerance);
    }
  }
}

void CheckBits(const MatmulCase& c) {
  for (const WeightType type : kQuantisedTypes) {
    const MatmulData data(c, type, Arithmetic::kExact);
    const std::vector<float> want = Product(kExactKernels, data);
    for (const KernelTable* kernels : TestedKernels()) {
      CAPTURE(kernels->name, Name(type), c.m, c.n, c.k);
      CHECK(SameBits(Product(*kernels, data), want));
      CHECK(SameBits(Product(*kernels, data, /*in_pieces=*/true), want));
    }
  }
}

TEST_CASE("exact products have the same bits on every instruction set, however they are split",
          "[kernels][matmul][exact]") {
  for (const MatmulCase& c : kCases) CheckBits(c);
}

TEST_CASE("exact products of whole models have the same bits too", "[.long]") {
  for (const MatmulCase& c : kLongCases) CheckBits(c);
}

TEST_CASE("exact products do not depend on the other rows", "[kernels][matmul][exact]") {
  for (const WeightType type : kQuantisedTypes) {
    const MatmulData data({.m = 37, .n = 48, .k = 672}, type, Arithmetic::kExact);
    for (const KernelTable* kernels : TestedKernels()) {
      CAPTURE(kernels->name, Name(type));
      const std::vector<float> all = Product(*kernels, data);
      for (const std::int64_t row : {0, 17, 36}) {
        std::vector<float> alone(48);
        MatmulArgs args = data.args(alone.data());
        args.stride = 48;
        args.x.rows = 1;
        args.x.codes += row * args.x.k;
        args.x.scale += row * args.x.k / kGroup;
        args.x.sum += row * args.x.k / kGroup;
        args.x.scaled_sum += row * args.x.k / kGroup;
        kernels->matmul(args, {0, 3});
        const auto first = all.begin() + row * data.stride();
        CHECK(SameBits(alone, std::vector<float>(first, first + 48)));
      }
    }
  }
}

TEST_CASE("products of floats are near those in double precision on every instruction set",
          "[kernels][matmul][floats]") {
  // Factors are the same, so what remains is rounding of fp32 sums in any order.
  constexpr double kTolerance = 2e-5;
  constexpr std::pair<WeightType, Arithmetic> kKinds[] = {{WeightType::kFp32, Arithmetic::kFp32},
                                                          {WeightType::kBf16, Arithmetic::kBf16}};
  for (const auto& [type, arithmetic] : kKinds) {
    for (const MatmulCase& c : kCases) {
      const MatmulData data(c, type, arithmetic);
      const std::vector<float> want = Product(kReferenceKernels, data);
      for (const KernelTable* kernels : TestedKernels()) {
        CAPTURE(kernels->name, Name(type), c.m, c.n, c.k);
        CHECK(LargestError(Product(*kernels, data), want) < kTolerance);
        CHECK(LargestError(Product(*kernels, data, /*in_pieces=*/true), want) < kTolerance);
      }
    }
  }
}

TEST_CASE("a failed row gives NaN and harms no other", "[kernels][matmul][exact]") {
  constexpr float kBad[] = {std::numeric_limits<float>::quiet_NaN(),
                            std::numeric_limits<float>::infinity(), 0x1p40f};
  for (const WeightType type : kQuantisedTypes) {
    for (const float bad : kBad) {
      const MatmulCase c = {.m = 3, .n = 20, .k = 96};
      const MatmulData data(c, type, Arithmetic::kExact);
      std::vector<float> want = Product(kExactKernels, data);
      std::vector<float> row(96, 1.0f);
      row[70] = bad;
      kExactKernels.activations(
          {.x = row.data(), .rows = 3, .n = 96, .stride = 0, .out = data.x.view()}, {1, 2});
      for (const KernelTable* kernels : TestedKernels()) {
        CAPTURE(kernels->name, Name(type), bad);
        std::vector<float> got = Product(*kernels, data);
        for (std::int64_t i = data.stride(); i < data.stride() + c.n; ++i) {
          CHECK(std::isnan(got[i]));
          got[i] = want[i];
        }
        CHECK(SameBits(got, want));
      }
    }
  }
}

}  // namespace
}  // namespace fallow::test
