#include "kernels/attention/attention.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>

#include "tests/kernels/attention_pass.h"
#include "tests/kernels/kernel_test.h"

namespace fallow::test {
namespace {

const AttentionCase kCases[] = {
    {"no run", 9, 3, 64, {}},
    {"a run without rows", 9, 3, 64, {{0, 0}}},
    {"first token", 9, 3, 64, {{0, 1}}},
    {"decode at a page's end", 9, 3, 64, {{15, 1}}},
    {"decode at a page's start", 9, 3, 64, {{16, 1}}},
    {"decode at a chunk's end", 9, 3, 64, {{127, 1}}},
    {"decode at a chunk's start", 9, 3, 64, {{128, 1}}},
    {"decode far", 9, 3, 64, {{299, 1}}},
    {"prefill", 9, 3, 64, {{0, 40}}},
    {"prefill over a chunk's border", 9, 3, 64, {{120, 19}}},
    {"small heads", 4, 2, 32, {{40, 9}}},
    {"smallest heads, one to one", 3, 3, 16, {{20, 10}}},
    {"heads of 80", 4, 4, 80, {{130, 3}}},
    {"heads of 96", 4, 2, 96, {{17, 8}}},
    {"heads of 128", 8, 2, 128, {{250, 5}}},
    {"heads of 256", 2, 1, 256, {{30, 2}}},
    {"many heads read one", 71, 1, 64, {{33, 2}}},
    {"a window within a page", 9, 3, 64, {{299, 3}}, 5},
    {"a window of one", 9, 3, 64, {{127, 3}}, 1},
    {"a window over a chunk's border", 9, 3, 64, {{250, 20}}, 100},
    {"a window that begins with a chunk", 9, 3, 64, {{255, 1}}, 128},
    {"a window wider than the history", 9, 3, 64, {{20, 3}}, 4096},
    {"soft cap", 9, 3, 64, {{140, 3}}, 0, 5.0f},
    {"ALiBi", 4, 4, 64, {{140, 9}}, 0, 0, true},
    {"all at once", 8, 2, 80, {{260, 9}}, 131, 3.0f, true},
    {"decode of three", 9, 3, 64, {{0, 1}, {200, 1}, {31, 1}}},
    {"prefill beside decode", 9, 3, 64, {{300, 1}, {0, 33}, {64, 17}, {15, 1}}},
    {"runs with a window", 9, 3, 64, {{300, 2}, {0, 20}, {150, 1}}, 40},
};

const AttentionCase kLongCases[] = {
    {"decode after four thousand", 9, 3, 64, {{4100, 1}}},
    {"a prompt's chunk after two thousand", 32, 8, 128, {{2047, 64}}},
    {"a prompt of five hundred", 9, 3, 64, {{0, 500}}},
    {"a window of a thousand", 8, 2, 128, {{3000, 9}}, 1024},
};

// Values are up to 3. Scores are up to some 10, so an error e of a score shifts a weight by e.
constexpr double kFp32Tolerance = 1e-5;  // sums of up to 300 floats; exp within 1 ulp
constexpr double kBf16Tolerance = 2e-2;  // query and softmax have 8 bits: 2^-9 of each
constexpr double kQ8Tolerance = 6e-2;    // the query has codes up to 127: half a step of each

void CheckBits(const AttentionCase& c) {
  CAPTURE(c.name);
  Pass exact(c, KvFormat::kQ8);
  exact.Append(kExactKernels);
  const auto want_pool = exact.PoolBytes();
  const auto want = exact.Attend(kExactKernels);
  CHECK(SameBits(exact.Attend(kExactKernels, true), want));
  for (const KernelTable* kernels : TestedKernels()) {
    CAPTURE(kernels->name);
    Pass pass(c, KvFormat::kQ8);
    pass.Append(*kernels, true);
    CHECK(pass.PoolBytes() == want_pool);
    CHECK(SameBits(pass.Attend(*kernels), want));
    CHECK(SameBits(pass.Attend(*kernels, true), want));
    pass.PoisonTheUnseen();
    CHECK(SameBits(pass.Attend(*kernels), want));
  }
}

TEST_CASE("attention by definition and on every instruction set has the same bits",
          "[kernels][attention]") {
  for (const AttentionCase& c : kCases) CheckBits(c);
}

TEST_CASE("attention over long contexts has the same bits too", "[.long]") {
  for (const AttentionCase& c : kLongCases) CheckBits(c);
}

void CheckFormula(const AttentionCase& c, KvFormat format, double tolerance) {
  CAPTURE(c.name, format);
  Pass reference(c, format);
  reference.Append(kReferenceKernels);
  const auto want = reference.Attend(kReferenceKernels);
  if (format == KvFormat::kQ8) {
    CHECK(LargestError(reference.Attend(kExactKernels), want) <= tolerance);
  }
  for (const KernelTable* kernels : TestedKernels()) {
    CAPTURE(kernels->name);
    Pass pass(c, format);
    pass.Append(*kernels);
    if (format != KvFormat::kQ8) CHECK(pass.PoolBytes() == reference.PoolBytes());
    const auto got = pass.Attend(*kernels);
    CHECK(LargestError(got, want) <= tolerance);
    pass.PoisonTheUnseen();
    CHECK(SameBits(pass.Attend(*kernels, true), got));
  }
}

TEST_CASE("attention of floats is what its formula says", "[kernels][attention][floats]") {
  for (const AttentionCase& c : kCases) {
    CheckFormula(c, KvFormat::kFp32, kFp32Tolerance);
    CheckFormula(c, KvFormat::kBf16, kBf16Tolerance);
  }
}

TEST_CASE("attention of the exact class is what its formula says", "[kernels][attention]") {
  for (const AttentionCase& c : kCases) CheckFormula(c, KvFormat::kQ8, kQ8Tolerance);
}

TEST_CASE("the reference attends to two positions as worked out by hand", "[kernels][attention]") {
  std::vector<std::uint8_t> pool(1 << 14);
  const std::int32_t pages[] = {0};
  const SequenceRun run{0, 2, 0, pages};
  const KvView kv{{KvFormat::kFp32, 1, 1, 16}, pool.data(), 0};
  std::vector<float> key(32), value(32), query(32), out(32);
  key[0] = 1, key[16] = 3;
  value[5] = 10, value[16 + 5] = 20;
  query[0] = 100, query[16] = 2;
  kReferenceKernels.append({key.data(), value.data(), 16, {&run, 1}, kv}, {0, 2});
  AttentionArgs args{.query = query.data(),
                     .query_stride = 16,
                     .out = out.data(),
                     .out_stride = 16,
                     .heads = 1,
                     .scale = 0.25f,
                     .runs = {&run, 1},
                     .kv = kv};
  kReferenceKernels.attention(args, {0, AttentionItems(args)});
  CHECK(out[5] == 10);  // the first row sees itself alone
  // Scores 0.5 and 1.5: weights 1 and e.
  CHECK(std::abs(out[16 + 5] - (10 + 20 * std::exp(1.0)) / (1 + std::exp(1.0))) < 1e-5);
  CHECK(out[16 + 4] == 0);

  const float slope = 2;  // scores 0.5 - 2 and 1.5
  args.slopes = &slope;
  kReferenceKernels.attention(args, {0, AttentionItems(args)});
  CHECK(std::abs(out[16 + 5] - (10 + 20 * std::exp(3.0)) / (1 + std::exp(3.0))) < 1e-5);
  args.slopes = nullptr;
  args.soft_cap = 1;  // tanh(0.5), tanh(1.5)
  kReferenceKernels.attention(args, {0, AttentionItems(args)});
  const double ratio = std::exp(std::tanh(1.5) - std::tanh(0.5));
  CHECK(std::abs(out[16 + 5] - (10 + 20 * ratio) / (1 + ratio)) < 1e-5);
  args.window = 1;
  kReferenceKernels.attention(args, {0, AttentionItems(args)});
  CHECK(out[16 + 5] == 20);
}

// The run's rows in parts of `length`, each a run of its own pass.
std::vector<SequenceRun> Cut(const SequenceRun& run, std::int64_t length) {
  std::vector<SequenceRun> parts;
  for (std::int64_t i = 0; i < run.rows; i += length) {
    const std::int64_t rows = std::min(length, run.rows - i);
    parts.push_back({run.first_row + i, rows, run.position + i, run.pages});
  }
  return parts;
}

TEST_CASE("a row's bits do not depend on how a prompt is cut, nor on what else is in the pass",
          "[kernels][attention]") {
  const AttentionCase cases[] = {
      {"prompt", 9, 3, 64, {{0, 300}}},
      {"windowed prompt", 4, 2, 80, {{0, 300}}, 77},
      {"several", 9, 3, 64, {{100, 40}, {290, 20}, {0, 17}}},
  };
  for (const AttentionCase& c : cases) {
    CAPTURE(c.name);
    for (const KernelTable* kernels : TestedKernels()) {
      Pass pass(c, KvFormat::kQ8);
      pass.Append(*kernels);
      const auto want = pass.Attend(*kernels);
      for (std::int64_t length : {1, 3, 8, 17, 128}) {
        CAPTURE(kernels->name, length);
        std::vector<float> got(want.size(), -7.0f);
        for (const SequenceRun& run : pass.runs()) {
          for (const SequenceRun& part : Cut(run, length)) {
            const auto rows = pass.Attend(*kernels, {&part, 1});
            std::copy_n(rows.begin() + part.first_row * pass.out_stride(),
                        part.rows * pass.out_stride(),
                        got.begin() + part.first_row * pass.out_stride());
          }
        }
        CHECK(SameBits(got, want));
      }
    }
  }
}

TEST_CASE("a key that is no number fails the rows that see it, and no other",
          "[kernels][attention]") {
  const AttentionCase c{"prompt", 2, 2, 64, {{0, 40}}, 10};
  constexpr std::int64_t kFailed = 21;
  for (const KernelTable* kernels : TestedKernels()) {
    CAPTURE(kernels->name);
    Pass whole(c, KvFormat::kQ8);
    Pass pass(c, KvFormat::kQ8);
    pass.key(0)[kFailed * (2 * 64 + 48) + 40] = INFINITY;  // of head 0
    whole.Append(*kernels);
    pass.Append(*kernels);
    Pass exact(c, KvFormat::kQ8);
    exact.key(0) = pass.key(0);
    exact.Append(kExactKernels);
    CHECK(pass.PoolBytes() == exact.PoolBytes());
    const auto want = whole.Attend(*kernels);
    const auto got = pass.Attend(*kernels);
    for (std::int64_t row = 0; row < 40; ++row) {
      CAPTURE(row);
      const bool sees = row >= kFailed && row - kFailed < c.window;
      const float* at = &got[row * pass.out_stride()];
      const float* want_at = &want[row * pass.out_stride()];
      CHECK(std::isnan(at[0]) == sees);
      CHECK((sees || std::memcmp(at, want_at, 64 * sizeof(float)) == 0));
      CHECK(std::memcmp(at + 64, want_at + 64, 64 * sizeof(float)) == 0);  // head 1
    }
  }
}

// A change means another class than "exact-1". Many rows, because a fused or reordered operation
// shows in few.
TEST_CASE("attention of the exact class keeps its bits from build to build",
          "[kernels][attention]") {
  const std::pair<AttentionCase, std::uint64_t> kWant[] = {
      {{"prompt", 9, 3, 64, {{0, 400}}}, 0x027595bb9629a02e},
      {{"everything", 4, 2, 80, {{0, 300}}, 131, 4.0f, true}, 0xb669ca70455db366},
  };
  for (const auto& [c, want] : kWant) {
    CAPTURE(c.name);
    Pass exact(c, KvFormat::kQ8);
    exact.Append(kExactKernels);
    CHECK(Hash(exact.Attend(kExactKernels)) == want);
    for (const KernelTable* kernels : TestedKernels()) {
      CAPTURE(kernels->name);
      Pass pass(c, KvFormat::kQ8);
      pass.Append(*kernels);
      CHECK(Hash(pass.Attend(*kernels)) == want);
    }
  }
}

}  // namespace
}  // namespace fallow::test
