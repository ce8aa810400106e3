#include "kernels/rope/rope.h"

#include <catch2/catch_test_macros.hpp>
#include <cmath>

#include "kernels/rope/tables.h"
#include "tests/kernels/kernel_test.h"

namespace fallow::test {
namespace {

struct RopeCase {
  int heads;
  int head_dim;
  int dims;
  std::vector<std::int32_t> positions;
};

// Whole and partial rotation, halves that are no multiple of 16 lanes, far positions, no row.
const RopeCase kCases[] = {
    {9, 64, 64, {0, 1, 15, 16, 300}},
    {3, 64, 16, {7, 4000}},
    {1, 80, 80, {2047}},
    {2, 80, 32, {5, 5}},
    {4, 96, 24, {1, 900}},
    {8, 128, 128, {0, 127, 128}},
    {1, 32, 2, {3}},
    {9, 64, 64, {}},
};

struct RopeData {
  explicit RopeData(const RopeCase& c)
      : rope_case(c), stride(c.heads * c.head_dim + 32), tables(c.dims, 10000, {}) {
    tables.Grow(4001);
    x = Random(c.dims).Many(stride * static_cast<std::int64_t>(c.positions.size()), 4);
  }

  std::vector<float> Run(const KernelTable& kernels, bool in_pieces = false) const {
    std::vector<float> y = x;
    const auto rows = static_cast<std::int64_t>(rope_case.positions.size());
    const RopeArgs args{.x = y.data(),
                        .rows = rows,
                        .stride = stride,
                        .heads = rope_case.heads,
                        .head_dim = rope_case.head_dim,
                        .dims = rope_case.dims,
                        .position = rope_case.positions.data(),
                        .cosine = tables.cosine(),
                        .sine = tables.sine()};
    const auto run = [&](Range range) { kernels.rope(args, range); };
    in_pieces ? InPieces(rows, run) : Whole(rows, run);
    return y;
  }

  RopeCase rope_case;
  std::int64_t stride;
  RopeTables tables;
  std::vector<float> x;
};

TEST_CASE("rotation is the same by definition and on every instruction set", "[kernels][rope]") {
  for (const RopeCase& c : kCases) {
    CAPTURE(c.heads, c.head_dim, c.dims);
    const RopeData data(c);
    const auto want = data.Run(kExactKernels);
    // Two products of numbers up to 4, rounded: 2^-23 * 4 or so.
    CHECK(LargestError(want, data.Run(kReferenceKernels)) <= 1e-6);
    for (const KernelTable* kernels : TestedKernels()) {
      CAPTURE(kernels->name);
      CHECK(SameBits(data.Run(*kernels), want));
      CHECK(SameBits(data.Run(*kernels, true), want));
    }
  }
}

TEST_CASE("the reference rotates pairs by position times frequency", "[kernels][rope]") {
  const RopeData data({1, 8, 4, {3}});  // frequencies 1 and 0.01
  const auto y = data.Run(kReferenceKernels);
  for (int i : {0, 1}) {
    const double angle = i == 0 ? 3 : 0.03;
    const double a = data.x[i], b = data.x[i + 2];
    CHECK(std::abs(y[i] - (a * std::cos(angle) - b * std::sin(angle))) < 1e-6);
    CHECK(std::abs(y[i + 2] - (b * std::cos(angle) + a * std::sin(angle))) < 1e-6);
  }
  for (int i = 4; i < 40; ++i) CHECK(y[i] == data.x[i]);  // beyond `dims`, and the row's rest
}

// Frequencies as Hugging Face transformers' modeling_rope_utils.py computes them, with the
// standard library's functions.
double Default(int i, int dims, double theta) { return 1 / std::pow(theta, 2.0 * i / dims); }

double Llama3(int i, int dims, double theta, const RopeScaling& s) {
  const double frequency = Default(i, dims, theta);
  const double wavelength = 2 * M_PI / frequency;
  const double original = static_cast<double>(s.original_max_positions);
  if (wavelength < original / s.high_freq_factor) return frequency;
  if (wavelength > original / s.low_freq_factor) return frequency / s.factor;
  const double smooth =
      (original / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
  return (1 - smooth) * frequency / s.factor + smooth * frequency;
}

double Yarn(int i, int dims, double theta, const RopeScaling& s) {
  const auto correction = [&](double rotations) {
    const double original = static_cast<double>(s.original_max_positions);
    return dims * std::log(original / (rotations * 2 * M_PI)) / (2 * std::log(theta));
  };
  double low = correction(s.beta_fast);
  double high = correction(s.beta_slow);
  if (s.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dims - 1.0);
  if (low == high) high += 0.001;
  const double ramp = std::min(1.0, std::max(0.0, (i - low) / (high - low)));
  const double frequency = Default(i, dims, theta);
  return frequency / s.factor * ramp + frequency * (1 - ramp);
}

constexpr RopeScaling kLinear{.kind = RopeScaling::Kind::kLinear, .factor = 4};
constexpr RopeScaling kDynamic{
    .kind = RopeScaling::Kind::kDynamic, .factor = 2, .original_max_positions = 2048};
constexpr RopeScaling kLlama3{
    .kind = RopeScaling::Kind::kLlama3, .factor = 8, .original_max_positions = 8192};
constexpr RopeScaling kYarn{
    .kind = RopeScaling::Kind::kYarn, .factor = 4, .original_max_positions = 32768};

// A float has 24 bits; the series is better than double's own pow by far less than this.
constexpr double kFrequencyTolerance = 6.1e-8;

void CheckFrequencies(const RopeScaling& scaling, std::int64_t length, double theta,
                      double (*want)(int i, double theta)) {
  const auto got = InverseFrequencies(128, theta, scaling, length);
  REQUIRE(got.size() == 64);
  for (int i = 0; i < 64; ++i) {
    CAPTURE(i, theta, got[i]);
    CHECK(std::abs(got[i] / want(i, theta) - 1) <= kFrequencyTolerance);
  }
}

TEST_CASE("frequencies follow each kind of scaling", "[kernels][rope]") {
  for (double theta : {10000.0, 500000.0, 1e6}) {
    CheckFrequencies({}, 100, theta, [](int i, double t) { return Default(i, 128, t); });
    CheckFrequencies(kLinear, 9999, theta, [](int i, double t) { return Default(i, 128, t) / 4; });
    CheckFrequencies(kDynamic, 2048, theta, [](int i, double t) { return Default(i, 128, t); });
    CheckFrequencies(kDynamic, 5000, theta, [](int i, double t) {
      const double base = t * std::pow(2 * 5000 / 2048.0 - 1, 128.0 / 126);
      return Default(i, 128, base);
    });
    CheckFrequencies(kLlama3, 1, theta, [](int i, double t) { return Llama3(i, 128, t, kLlama3); });
    CheckFrequencies(kYarn, 1, theta, [](int i, double t) { return Yarn(i, 128, t, kYarn); });
    static RopeScaling exact_ramp = kYarn;
    exact_ramp.truncate = false;
    CheckFrequencies(exact_ramp, 1, theta,
                     [](int i, double t) { return Yarn(i, 128, t, exact_ramp); });
  }
}

TEST_CASE("YaRN's attention factor is given, or derived", "[kernels][rope]") {
  CHECK(RopeAttentionFactor({}) == 1);
  CHECK(RopeAttentionFactor(kLlama3) == 1);
  RopeScaling s = kYarn;
  CHECK(std::abs(RopeAttentionFactor(s) - (0.1 * std::log(4.0) + 1)) < 1e-14);
  s.mscale = 0.707;  // as DeepSeek-V2 has it; alone it says nothing
  CHECK(std::abs(RopeAttentionFactor(s) - (0.1 * std::log(4.0) + 1)) < 1e-14);
  s.mscale_all_dim = 0.5;
  const double want = (0.0707 * std::log(4.0) + 1) / (0.05 * std::log(4.0) + 1);
  CHECK(std::abs(RopeAttentionFactor(s) - want) < 1e-14);
  s.attention_factor = 1.25;
  CHECK(RopeAttentionFactor(s) == 1.25);

  RopeTables tables(64, 10000, s);
  tables.Grow(1);
  CHECK(tables.cosine()[0] == 1.25f);
}

TEST_CASE("tables hold cosines and sines, far positions too", "[kernels][rope]") {
  constexpr std::int64_t kPositions = 131072;
  RopeTables tables(64, 500000, {});
  tables.Grow(kPositions);
  const auto frequency = InverseFrequencies(64, 500000, {}, 0);
  double worst = 0;
  for (std::int64_t p = 0; p < kPositions; p += p < 1000 ? 1 : 997) {
    for (int i = 0; i < 32; ++i) {
      const double angle = static_cast<double>(p) * double{frequency[i]};
      worst = std::max(worst, std::abs(tables.cosine()[p * 32 + i] - std::cos(angle)));
      worst = std::max(worst, std::abs(tables.sine()[p * 32 + i] - std::sin(angle)));
    }
  }
  CHECK(worst <= 3e-8);  // half of a float's last place just below 1
}

TEST_CASE("tables grow without changing", "[kernels][rope]") {
  for (const RopeScaling& scaling : {RopeScaling{}, kDynamic, kYarn}) {
    RopeTables whole(32, 10000, scaling);
    RopeTables grown(32, 10000, scaling);
    CHECK(grown.positions() == 0);
    whole.Grow(3000);
    for (std::int64_t n : {1, 17, 17, 5, 2047, 2049, 3000}) grown.Grow(n);
    REQUIRE(grown.positions() == 3000);
    CHECK(std::memcmp(whole.cosine(), grown.cosine(), 3000 * 16 * sizeof(float)) == 0);
    CHECK(std::memcmp(whole.sine(), grown.sine(), 3000 * 16 * sizeof(float)) == 0);
  }
}

TEST_CASE("a dynamic base depends on the position alone", "[kernels][rope]") {
  RopeTables tables(32, 10000, kDynamic);
  RopeTables plain(32, 10000, {});
  tables.Grow(2200);
  plain.Grow(2200);
  CHECK(std::memcmp(tables.sine(), plain.sine(), 2048 * 16 * sizeof(float)) == 0);
  const auto frequency = InverseFrequencies(32, 10000, kDynamic, 2200);
  for (int i = 0; i < 16; ++i) {
    CHECK(std::abs(tables.sine()[2199 * 16 + i] - std::sin(2199.0 * frequency[i])) < 3e-8);
  }
}

// A change means another class than "exact-1".
TEST_CASE("tables keep their bits from build to build", "[kernels][rope]") {
  const std::pair<RopeScaling, std::uint64_t> kWant[] = {{{}, 0x3f71ec8863f369f4},
                                                         {kLinear, 0x2dffd0246cad5c88},
                                                         {kDynamic, 0x1a3dc6558cace160},
                                                         {kLlama3, 0x95bfa7c9e22ec9a9},
                                                         {kYarn, 0xdcebef2eff04c843}};
  for (const auto& [scaling, want] : kWant) {
    CAPTURE(scaling.kind);
    RopeTables tables(64, 10000, scaling);
    tables.Grow(2500);
    std::vector<float> all(tables.cosine(), tables.cosine() + 2500 * 32);
    all.insert(all.end(), tables.sine(), tables.sine() + 2500 * 32);
    CHECK(Hash(all) == want);
  }
}

}  // namespace
}  // namespace fallow::test
