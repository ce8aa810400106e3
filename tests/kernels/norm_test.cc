#include "kernels/norm/norm.h"

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <string>

#include "tests/kernels/kernel_test.h"

namespace fallow::test {
namespace {

struct NormCase {
  std::int64_t rows;
  std::int64_t n;
  bool layer = false;
  bool bias = false;
};

// Around 16 lanes, groups of 32 and 128 partial sums; no row and one; models' sizes.
constexpr NormCase kCases[] = {
    {0, 64},
    {1, 1},
    {1, 16},
    {2, 31},
    {3, 33},
    {2, 100},
    {2, 127},
    {2, 128},
    {2, 129},
    {5, 576},
    {1, 4096},
    {2, 1000},
    {2, 1, true},
    {2, 100, true},
    {3, 129, true, true},
    {0, 64, true, true},
    {5, 576, true, true},
    {2, 1000, true, true},
    {1, 2048, true},
};

struct NormData {
  explicit NormData(const NormCase& c) : norm_case(c) {
    Random random(c.n * 10 + c.rows);
    x = random.Many(c.rows * c.n);
    for (std::int64_t row = 0; row < c.rows; ++row) {
      const float scale = kRowScale[row % 5];
      for (std::int64_t i = 0; i < c.n; ++i) x[row * c.n + i] = x[row * c.n + i] * scale + scale;
    }
    weight = random.Many(c.n);
    bias = random.Many(c.n);
  }

  NormArgs args() const {
    return {.x = x.data(),
            .rows = norm_case.rows,
            .n = norm_case.n,
            .weight = weight.data(),
            .bias = norm_case.bias ? bias.data() : nullptr,
            .layer = norm_case.layer};
  }

  static constexpr float kRowScale[] = {1, 0, 30, 1e-6f, 1e-30f};
  NormCase norm_case;
  std::vector<float> x, weight, bias;
};

std::vector<float> Values(const KernelTable& kernels, const NormData& data) {
  std::vector<float> y(data.x.size());
  NormArgs args = data.args();
  args.values = y.data();
  kernels.norm(args, {0, args.rows});
  return y;
}

ActivationRows Rows(const KernelTable& kernels, const NormData& data, Arithmetic arithmetic,
                    bool in_pieces = false) {
  ActivationRows out(arithmetic, data.norm_case.rows, data.norm_case.n);
  NormArgs args = data.args();
  args.out = out.view();
  const auto run = [&](Range rows) { kernels.norm(args, rows); };
  in_pieces ? InPieces(args.rows, run) : Whole(args.rows, run);
  return out;
}

constexpr double kFloatTolerance = 1e-5;  // sums of up to 4096 floats; x - mean cancels
constexpr double kBf16Tolerance = 8e-3;   // 8 bits of precision, and a near-tie goes either way
constexpr double kStepTolerance = 1.001;  // a near-tie moves a code by one

TEST_CASE("norms by definition and on every instruction set have the same bits",
          "[kernels][norm]") {
  for (const NormCase& c : kCases) {
    CAPTURE(c.rows, c.n, c.layer, c.bias);
    const NormData data(c);
    const auto want = Values(kExactKernels, data);
    const auto want_rows = Rows(kExactKernels, data, Arithmetic::kExact).bytes();
    CHECK(want_rows == Rows(kExactKernels, data, Arithmetic::kExact, true).bytes());
    for (const KernelTable* kernels : TestedKernels()) {
      CAPTURE(kernels->name);
      CHECK(SameBits(Values(*kernels, data), want));
      CHECK(Rows(*kernels, data, Arithmetic::kExact).bytes() == want_rows);
      CHECK(Rows(*kernels, data, Arithmetic::kExact, true).bytes() == want_rows);
    }
  }
}

TEST_CASE("norms are what their formulas say", "[kernels][norm]") {
  for (const NormCase& c : kCases) {
    CAPTURE(c.rows, c.n, c.layer, c.bias);
    const NormData data(c);
    const auto want = Values(kReferenceKernels, data);
    const auto want_fp32 = Rows(kReferenceKernels, data, Arithmetic::kFp32);
    const auto want_bf16 = Rows(kReferenceKernels, data, Arithmetic::kBf16);
    const auto want_exact = Rows(kReferenceKernels, data, Arithmetic::kExact);
    CHECK(LargestError(Values(kExactKernels, data), want) <= kFloatTolerance);
    CHECK(LargestStep(Rows(kExactKernels, data, Arithmetic::kExact), want_exact) <= kStepTolerance);
    for (const KernelTable* kernels : TestedKernels()) {
      CAPTURE(kernels->name);
      const auto fp32 = Rows(*kernels, data, Arithmetic::kFp32);
      const auto bf16 = Rows(*kernels, data, Arithmetic::kBf16);
      CHECK(LargestError(Values(*kernels, data), want) <= kFloatTolerance);
      CHECK(LargestError(fp32.Values(), want_fp32.Values()) <= kFloatTolerance);
      CHECK(LargestError(bf16.Values(), want_bf16.Values()) <= kBf16Tolerance);
    }
  }
}

TEST_CASE("the reference norms a row worked out by hand", "[kernels][norm]") {
  const float x[] = {1, 2, 3, 6};
  const float weight[] = {1, 1, 2, 1};
  const float bias[] = {0, 0, 0, 1};
  std::vector<float> y(4);
  NormArgs args{.x = x, .rows = 1, .n = 4, .weight = weight, .epsilon = 0, .values = y.data()};
  kReferenceKernels.norm(args, {0, 1});
  const float root = std::sqrt(12.5f);  // of (1 + 4 + 9 + 36) / 4
  CHECK(LargestError(y, {1 / root, 2 / root, 6 / root, 6 / root}) < 1e-6);

  args.layer = true;
  args.bias = bias;
  kReferenceKernels.norm(args, {0, 1});
  const float deviation = std::sqrt(3.5f);  // of (4 + 1 + 0 + 9) / 4, around 3
  CHECK(LargestError(y, {-2 / deviation, -1 / deviation, 0, 3 / deviation + 1}) < 1e-6);
}

TEST_CASE("a norm may write over its input", "[kernels][norm]") {
  for (const NormCase& c : {NormCase{3, 129}, NormCase{3, 129, true, true}}) {
    const NormData data(c);
    for (const KernelTable* kernels : TestedKernels()) {
      std::vector<float> x = data.x;
      NormArgs args = data.args();
      args.x = x.data();
      args.values = x.data();
      kernels->norm(args, {0, args.rows});
      CHECK(SameBits(x, Values(*kernels, data)));
    }
  }
}

TEST_CASE("a row that is not finite has a scale that is no number", "[kernels][norm]") {
  NormData data({3, 100});
  data.x[100 + 37] = NAN;
  for (const KernelTable* kernels : TestedKernels()) {
    CAPTURE(kernels->name);
    const ActivationRows rows = Rows(*kernels, data, Arithmetic::kExact);
    const std::int64_t groups = rows.view().k / kGroup;
    CHECK(std::isfinite(rows.view().scale[0]));
    CHECK(std::isnan(rows.view().scale[groups]));
    CHECK(std::isfinite(rows.view().scale[2 * groups]));
    CHECK(rows.bytes() == Rows(kExactKernels, data, Arithmetic::kExact).bytes());
  }
}

// Hashes of the exact class, "exact-1": a change means another class. Many rows, because a fused or
// reordered operation shows in few.
TEST_CASE("norms of the exact class keep their bits from build to build", "[kernels][norm]") {
  const NormData rms({400, 576});
  const NormData layer({400, 1000, true, true});
  constexpr std::uint64_t kRms = 0xb4b7e04e7102f1a3;
  constexpr std::uint64_t kLayer = 0x0010fb5dc193c786;
  CHECK(Hash(Values(kExactKernels, rms)) == kRms);
  CHECK(Hash(Values(kExactKernels, layer)) == kLayer);
  for (const KernelTable* kernels : TestedKernels()) {
    CAPTURE(kernels->name);
    CHECK(Hash(Values(*kernels, rms)) == kRms);
    CHECK(Hash(Values(*kernels, layer)) == kLayer);
  }
}

}  // namespace
}  // namespace fallow::test
