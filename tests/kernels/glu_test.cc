#include "kernels/glu/glu.h"

#include <catch2/catch_test_macros.hpp>
#include <cmath>

#include "tests/kernels/kernel_test.h"

namespace fallow::test {
namespace {

struct GluCase {
  std::int64_t rows;
  std::int64_t n;
  Activation activation;
  bool gated;
};

std::vector<GluCase> Cases() {
  std::vector<GluCase> cases;
  for (Activation f : {Activation::kSilu, Activation::kGeluTanh, Activation::kGeluErf}) {
    for (bool gated : {false, true}) {
      for (std::int64_t n : {1, 16, 31, 32, 100, 256, 257, 1536}) cases.push_back({3, n, f, gated});
      cases.push_back({0, 64, f, gated});
      cases.push_back({1, 576, f, gated});
    }
  }
  return cases;
}

struct GluData {
  explicit GluData(const GluCase& c) : glu_case(c), stride(c.n + 5) {
    Random random(c.n * 10 + c.rows);
    gate = random.Many(c.rows * stride);
    up = random.Many(c.rows * stride, 3);
    // Where exp is cut, where f is linear, zeros of both signs, subnormal numbers.
    constexpr float kScale[] = {1, 10, 200, 0, -0.0f, 1e-6f, 1e-40f};
    for (std::size_t i = 0; i < gate.size(); ++i) gate[i] *= kScale[i / 40 % 7];
  }

  GluArgs args() const {
    return {.gate = gate.data(),
            .up = glu_case.gated ? up.data() : nullptr,
            .rows = glu_case.rows,
            .n = glu_case.n,
            .stride = stride,
            .activation = glu_case.activation};
  }

  GluCase glu_case;
  std::int64_t stride;
  std::vector<float> gate, up;
};

ActivationRows Run(const KernelTable& kernels, const GluData& data, Arithmetic arithmetic,
                   bool in_pieces = false) {
  ActivationRows out(arithmetic, data.glu_case.rows, data.glu_case.n);
  GluArgs args = data.args();
  args.out = out.view();
  const auto run = [&](Range rows) { kernels.glu(args, rows); };
  in_pieces ? InPieces(args.rows, run) : Whole(args.rows, run);
  return out;
}

// The polynomials: 1.1e-6 for GELU's tanh, 4e-7 for its erf, times |up| <= 3.
constexpr double kFloatTolerance = 4e-6;
constexpr double kBf16Tolerance = 8e-3;   // 8 bits of precision, and a near-tie goes either way
constexpr double kStepTolerance = 1.001;  // a near-tie moves a code by one

TEST_CASE("non-linearities by definition and on every instruction set have the same bits",
          "[kernels][glu]") {
  for (const GluCase& c : Cases()) {
    CAPTURE(c.rows, c.n, c.activation, c.gated);
    const GluData data(c);
    const auto want = Run(kExactKernels, data, Arithmetic::kExact).bytes();
    for (const KernelTable* kernels : TestedKernels()) {
      CAPTURE(kernels->name);
      CHECK(Run(*kernels, data, Arithmetic::kExact).bytes() == want);
      CHECK(Run(*kernels, data, Arithmetic::kExact, true).bytes() == want);
    }
  }
}

TEST_CASE("non-linearities are what their formulas say", "[kernels][glu]") {
  for (const GluCase& c : Cases()) {
    CAPTURE(c.rows, c.n, c.activation, c.gated);
    const GluData data(c);
    const auto want_fp32 = Run(kReferenceKernels, data, Arithmetic::kFp32);
    const auto want_bf16 = Run(kReferenceKernels, data, Arithmetic::kBf16);
    const auto want_exact = Run(kReferenceKernels, data, Arithmetic::kExact);
    CHECK(LargestStep(Run(kExactKernels, data, Arithmetic::kExact), want_exact) <= kStepTolerance);
    for (const KernelTable* kernels : TestedKernels()) {
      CAPTURE(kernels->name);
      const auto fp32 = Run(*kernels, data, Arithmetic::kFp32);
      const auto bf16 = Run(*kernels, data, Arithmetic::kBf16);
      CHECK(LargestError(fp32.Values(), want_fp32.Values()) <= kFloatTolerance);
      CHECK(LargestError(bf16.Values(), want_bf16.Values()) <= kBf16Tolerance);
    }
  }
}

TEST_CASE("the reference's non-linearities at known points", "[kernels][glu]") {
  const float gate[] = {0, 1, -1, 2};
  const float up[] = {1, 1, 1, 10};
  const auto at = [&](Activation activation) {
    ActivationRows out(Arithmetic::kFp32, 1, 4);
    kReferenceKernels.glu({.gate = gate,
                           .up = up,
                           .rows = 1,
                           .n = 4,
                           .stride = 4,
                           .activation = activation,
                           .out = out.view()},
                          {0, 1});
    const auto values = out.Values();
    return std::vector<float>(values.begin(), values.begin() + 4);
  };
  CHECK(LargestError(at(Activation::kSilu), {0, 0.7310586f, -0.2689414f, 17.6159416f}) < 1e-6);
  CHECK(LargestError(at(Activation::kGeluTanh), {0, 0.8411920f, -0.1588080f, 19.5459769f}) < 1e-6);
  CHECK(LargestError(at(Activation::kGeluErf), {0, 0.8413447f, -0.1586553f, 19.5449974f}) < 1e-6);
}

// A change means another class than "exact-1". Compared as codes and scales.
TEST_CASE("non-linearities of the exact class keep their bits from build to build",
          "[kernels][glu]") {
  const std::pair<Activation, std::uint64_t> kWant[] = {{Activation::kSilu, 0x12d2c6e1c6d682e2},
                                                        {Activation::kGeluTanh, 0xd3a715253478c834},
                                                        {Activation::kGeluErf, 0xa9e8356cce49bdcb}};
  for (const auto& [activation, want] : kWant) {
    const GluData data({300, 160, activation, true});
    CHECK(Hash(Run(kExactKernels, data, Arithmetic::kExact).bytes()) == want);
    for (const KernelTable* kernels : TestedKernels()) {
      CAPTURE(kernels->name);
      CHECK(Hash(Run(*kernels, data, Arithmetic::kExact).bytes()) == want);
    }
  }
}

}  // namespace
}  // namespace fallow::test
