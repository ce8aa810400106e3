#include "kernels/quantize/quantize.h"

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <limits>

#include "tests/kernels/kernel_test.h"

namespace fallow::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct RowsCase {
  std::int64_t rows;
  std::int64_t n;
};

constexpr RowsCase kCases[] = {{0, 64}, {1, 1},   {1, 32},   {2, 31},   {3, 33},
                               {5, 64}, {4, 100}, {130, 96}, {2, 1536}, {7, 577}};

// Rows of many sizes: ordinary, zero, too small for the quantiser, subnormal, near the largest
// allowed, full of ties.
std::vector<float> MixedRows(const RowsCase& c) {
  constexpr float kSizes[] = {1, 0, 0x1p-61f, 0x1p-59f, 0x1p-130f, 0x1p39f, 300};
  Random random(c.rows * 1000 + c.n);
  std::vector<float> x = random.Many(c.rows * c.n);
  for (std::int64_t row = 0; row < c.rows; ++row) {
    float* values = x.data() + row * c.n;
    for (std::int64_t i = 0; i < c.n; ++i) {
      if (row % 8 == 7) {
        values[i] = i % kGroup == 0 ? 127.0f : std::round(values[i] * 250) / 2;
      } else {
        values[i] *= kSizes[row % 8];
      }
    }
  }
  return x;
}

ActivationRows Quantised(const KernelTable& kernels, const std::vector<float>& x, const RowsCase& c,
                         Arithmetic arithmetic, bool in_pieces = false) {
  ActivationRows out(arithmetic, c.rows, c.n);
  const ActivationsArgs args{
      .x = x.data(), .rows = c.rows, .n = c.n, .stride = c.n, .out = out.view()};
  const auto run = [&](Range rows) { kernels.activations(args, rows); };
  if (in_pieces) {
    InPieces(c.rows, run);
  } else {
    Whole(c.rows, run);
  }
  return out;
}

TEST_CASE("quantised rows have the same bits on every instruction set",
          "[kernels][quantize][exact]") {
  for (const RowsCase& c : kCases) {
    const std::vector<float> x = MixedRows(c);
    const auto want = Quantised(kExactKernels, x, c, Arithmetic::kExact).bytes();
    for (const KernelTable* kernels : TestedKernels()) {
      CAPTURE(kernels->name, c.rows, c.n);
      CHECK(Quantised(*kernels, x, c, Arithmetic::kExact).bytes() == want);
      CHECK(Quantised(*kernels, x, c, Arithmetic::kExact, true).bytes() == want);
    }
  }
}

TEST_CASE("quantised rows are within half a step of what they stand for",
          "[kernels][quantize][exact]") {
  for (const RowsCase& c : kCases) {
    CAPTURE(c.rows, c.n);
    const std::vector<float> x = MixedRows(c);
    const ActivationRows got = Quantised(kExactKernels, x, c, Arithmetic::kExact);
    const std::vector<float> values = got.Values();
    const std::int64_t k = got.view().k;
    for (std::int64_t row = 0; row < c.rows; ++row) {
      for (std::int64_t i = 0; i < c.n; ++i) {
        const double step = got.view().scale[(row * k + i) / kGroup];
        // Three roundings of 2^-24 each on values of up to 127 steps, and the zeroing of tiny ones.
        const double bound = 0.5 * step + 127 * step * 0x1p-22 + 0x1p-60;
        CHECK(std::abs(values[row * k + i] - x[row * c.n + i]) <= bound);
      }
    }
  }
}

TEST_CASE("the reference quantises as the exact definition does, ties apart",
          "[kernels][quantize]") {
  for (const RowsCase& c : kCases) {
    CAPTURE(c.rows, c.n);
    const std::vector<float> x = MixedRows(c);
    const ActivationRows exact = Quantised(kExactKernels, x, c, Arithmetic::kExact);
    const ActivationRows reference = Quantised(kReferenceKernels, x, c, Arithmetic::kExact);
    for (std::int64_t i = 0; i < exact.view().rows * exact.view().k; ++i) {
      CHECK(std::abs(exact.view().codes[i] - reference.view().codes[i]) <= 1);
    }
    CHECK(LargestStep(exact, reference) <= 1.001);
  }
}

TEST_CASE("sums of codes are what their names say", "[kernels][quantize][exact]") {
  const RowsCase c = {9, 100};
  const ActivationRows rows = Quantised(kExactKernels, MixedRows(c), c, Arithmetic::kExact);
  const Activations& view = rows.view();
  for (std::int64_t group = 0; group < view.rows * view.k / kGroup; ++group) {
    int sum = 0;
    for (int i = 0; i < kGroup; ++i) sum += view.codes[group * kGroup + i];
    CHECK(view.sum[group] == sum);
    CHECK(view.scaled_sum[group] == view.scale[group] * static_cast<float>(sum));
  }
}

TEST_CASE("floats and bf16 activations have the same bits on every instruction set",
          "[kernels][quantize]") {
  for (const Arithmetic arithmetic : {Arithmetic::kFp32, Arithmetic::kBf16}) {
    for (const RowsCase& c : kCases) {
      std::vector<float> x = MixedRows(c);
      if (!x.empty()) x[x.size() / 2] = kInfinity;
      const auto want = Quantised(kReferenceKernels, x, c, arithmetic).bytes();
      for (const KernelTable* kernels : TestedKernels()) {
        CAPTURE(kernels->name, Name(arithmetic), c.rows, c.n);
        CHECK(Quantised(*kernels, x, c, arithmetic).bytes() == want);
      }
    }
  }
}

TEST_CASE("activations can be written from a column on", "[kernels][quantize]") {
  for (const Arithmetic arithmetic : {Arithmetic::kFp32, Arithmetic::kBf16, Arithmetic::kExact}) {
    const RowsCase c = {5, 160};
    const std::vector<float> x = MixedRows(c);
    for (const KernelTable* kernels : TestedKernels()) {
      CAPTURE(kernels->name, Name(arithmetic));
      ActivationRows out(arithmetic, c.rows, c.n);
      for (const Range columns : {Range{64, 160}, Range{0, 64}}) {
        kernels->activations({.x = x.data() + columns.begin,
                              .rows = c.rows,
                              .n = columns.size(),
                              .stride = c.n,
                              .column = columns.begin,
                              .out = out.view()},
                             {0, c.rows});
      }
      CHECK(out.bytes() == Quantised(*kernels, x, c, arithmetic).bytes());
    }
  }
}

constexpr float kBad[] = {kNan,     -kNan, FloatOf(0x7fffffff), kInfinity, -kInfinity, 0x1p40f,
                          -0x1p40f, 3e38f};

TEST_CASE("a group that is not finite or huge has scale NaN and no codes",
          "[kernels][quantize][exact]") {
  const RowsCase c = {1, 96};
  std::vector<const KernelTable*> tables(TestedKernels().begin(), TestedKernels().end());
  tables.push_back(&kExactKernels);
  tables.push_back(&kReferenceKernels);
  for (const KernelTable* kernels : tables) {
    for (const float bad : kBad) {
      for (const std::int64_t at : {32, 47, 48, 63}) {
        CAPTURE(kernels->name, bad, at);
        std::vector<float> x(96, 1.0f);
        x[at] = bad;
        const ActivationRows out = Quantised(*kernels, x, c, Arithmetic::kExact);
        CHECK(out.view().scale[0] == 1.0f / 127.0f);
        CHECK(std::isnan(out.view().scale[1]));
        CHECK(std::isnan(out.view().scaled_sum[1]));
        CHECK(out.view().sum[1] == 0);
        for (int i = 0; i < kGroup; ++i) CHECK(out.view().codes[kGroup + i] == 0);
        CHECK(out.view().scale[2] == 1.0f / 127.0f);
      }
    }
  }
}

std::vector<float> Rounded(const KernelTable& kernels, std::vector<float> x, const RowsCase& c,
                           Rounding rounding, std::vector<std::uint8_t>& failed) {
  failed.assign(c.rows, 0);
  const RoundArgs args{
      .x = x.data(), .rows = c.rows, .n = c.n, .rounding = rounding, .failed = failed.data()};
  InPieces(c.rows, [&](Range rows) { kernels.round(args, rows); });
  return x;
}

constexpr Rounding kRoundings[] = {Rounding::kNone, Rounding::kBf16, Rounding::kInt8};

TEST_CASE("hidden states are rounded to the same bits on every instruction set",
          "[kernels][quantize][exact]") {
  for (const Rounding rounding : kRoundings) {
    for (const RowsCase& c : kCases) {
      const std::vector<float> x = MixedRows(c);
      std::vector<std::uint8_t> failed;
      const std::vector<float> want = Rounded(kExactKernels, x, c, rounding, failed);
      CHECK(failed == std::vector<std::uint8_t>(c.rows, 0));
      if (rounding == Rounding::kNone) CHECK(SameBits(want, x));
      for (const KernelTable* kernels : TestedKernels()) {
        CAPTURE(kernels->name, static_cast<int>(rounding), c.rows, c.n);
        CHECK(SameBits(Rounded(*kernels, x, c, rounding, failed), want));
        CHECK(failed == std::vector<std::uint8_t>(c.rows, 0));
      }
    }
  }
}

TEST_CASE("rounding twice is rounding once to bf16, and int8 states are near their values",
          "[kernels][quantize]") {
  const RowsCase c = {8, 96};
  const std::vector<float> x = MixedRows(c);
  std::vector<std::uint8_t> failed;
  const auto bf16 = Rounded(kExactKernels, x, c, Rounding::kBf16, failed);
  CHECK(SameBits(Rounded(kExactKernels, bf16, c, Rounding::kBf16, failed), bf16));
  for (std::size_t i = 0; i < x.size(); ++i) {
    CHECK(std::abs(bf16[i] - x[i]) <= std::abs(x[i]) * 0x1p-8f + 0x1p-133f);
  }
  const auto int8 = Rounded(kExactKernels, x, c, Rounding::kInt8, failed);
  const auto values = Quantised(kExactKernels, x, c, Arithmetic::kExact).Values();
  for (std::int64_t row = 0; row < c.rows; ++row) {
    for (std::int64_t i = 0; i < c.n; ++i) CHECK(int8[row * c.n + i] == values[row * 128 + i]);
  }
}

TEST_CASE("rows that are not finite or huge are marked, and only those", "[kernels][quantize]") {
  const RowsCase c = {4, 77};
  std::vector<const KernelTable*> tables(TestedKernels().begin(), TestedKernels().end());
  tables.push_back(&kExactKernels);
  tables.push_back(&kReferenceKernels);
  for (const KernelTable* kernels : tables) {
    for (const Rounding rounding : kRoundings) {
      for (const float bad : kBad) {
        for (const std::int64_t at : {0, 31, 63, 64, 76}) {
          CAPTURE(kernels->name, static_cast<int>(rounding), bad, at);
          std::vector<float> x(c.rows * c.n, 0x1.fffffep39f);
          x[2 * c.n + at] = bad;
          std::vector<std::uint8_t> failed;
          Rounded(*kernels, x, c, rounding, failed);
          CHECK(failed == std::vector<std::uint8_t>{0, 0, 1, 0});
        }
      }
    }
  }
}

}  // namespace
}  // namespace fallow::test
