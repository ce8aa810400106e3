#include "kernels/shortlist/shortlist.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <limits>

#include "tests/kernels/kernel_test.h"

namespace fallow::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();

enum class Logits { kSpread, kTies, kEqual, kRising, kFalling, kOdd };

struct ShortlistCase {
  std::int64_t rows;
  std::int64_t n;
  std::int64_t count;
  Logits logits;
};

std::vector<ShortlistCase> Cases() {
  std::vector<ShortlistCase> cases;
  for (const Logits logits : {Logits::kSpread, Logits::kTies, Logits::kEqual, Logits::kRising,
                              Logits::kFalling, Logits::kOdd}) {
    for (const std::int64_t n : {1, 2, 31, 32, 33, 64, 65, 511, 512, 513, 1100, 3000}) {
      for (const std::int64_t count : {std::int64_t{1}, std::int64_t{2}, std::int64_t{50}, n}) {
        if (count <= n) cases.push_back({2, n, count, logits});
      }
    }
    cases.push_back({0, 64, 5, logits});
  }
  return cases;
}

std::vector<float> LogitsOf(const ShortlistCase& c) {
  Random random(c.n * 10 + c.count);
  // Both zeros, subnormal numbers, what has no place in an order; not in the first row.
  constexpr float kOdd[] = {0,     -0.0f,     1e-40f,     -1e-40f,  kNan,
                            -kNan, kInfinity, -kInfinity, kLargest, -kLargest};
  std::vector<float> logits = random.Many(c.rows * c.n, 20);
  for (std::int64_t i = 0; i < c.rows * c.n; ++i) {
    float& logit = logits[i];
    const auto place = static_cast<float>(i % c.n);
    if (c.logits == Logits::kTies) logit = std::round(logit / 8);
    if (c.logits == Logits::kEqual) logit = -3;
    if (c.logits == Logits::kRising) logit = place - 100;
    if (c.logits == Logits::kFalling) logit = 100 - place;
    if (c.logits == Logits::kOdd && i >= c.n) logit = kOdd[random.Bits() % std::size(kOdd)];
  }
  return logits;
}

struct Found {
  std::vector<ShortlistEntry> best;
  std::vector<std::uint8_t> failed;
  friend bool operator==(const Found&, const Found&) = default;
};

Found Run(const KernelTable& kernels, const ShortlistCase& c, bool in_pieces = false) {
  const std::vector<float> logits = LogitsOf(c);
  Found found;
  found.best.resize(c.rows * c.count, {-1, kNan});
  found.failed.resize(c.rows);
  const ShortlistArgs args{.logits = logits.data(),
                           .rows = c.rows,
                           .n = c.n,
                           .count = c.count,
                           .best = found.best.data(),
                           .failed = found.failed.data()};
  const auto run = [&](Range rows) { kernels.shortlist(args, rows); };
  in_pieces ? InPieces(c.rows, run) : Whole(c.rows, run);
  return found;
}

TEST_CASE("a shortlist is what sorting gives, by every implementation", "[kernels][shortlist]") {
  for (const ShortlistCase& c : Cases()) {
    CAPTURE(c.rows, c.n, c.count, c.logits);
    const Found want = Run(kReferenceKernels, c);
    for (const KernelTable* kernels : TestedKernels()) {
      CAPTURE(kernels->name);
      CHECK(Run(*kernels, c) == want);
      CHECK(Run(*kernels, c, true) == want);
    }
  }
}

TEST_CASE("the reference's shortlist at known points", "[kernels][shortlist]") {
  const float logits[] = {1, 7, kNan, -0.0f, 7, kInfinity, 0, -kInfinity};
  std::vector<ShortlistEntry> best(6);
  std::uint8_t failed = 0;
  const ShortlistArgs args{
      .logits = logits, .rows = 1, .n = 8, .count = 6, .best = best.data(), .failed = &failed};
  kReferenceKernels.shortlist(args, {0, 1});
  CHECK(best == std::vector<ShortlistEntry>{{0, 1}, {1, 7}, {3, 0}, {4, 7}, {5, kLargest}, {6, 0}});
  CHECK(failed == 1);

  failed = 0;
  kReferenceKernels.shortlist(
      {.logits = logits, .rows = 1, .n = 2, .count = 1, .best = best.data(), .failed = &failed},
      {0, 1});
  CHECK(best[0] == ShortlistEntry{1, 7});
  CHECK(failed == 0);
}

}  // namespace
}  // namespace fallow::test
