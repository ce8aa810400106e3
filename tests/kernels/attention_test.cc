#include "kernels/attention/attention.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <string>

#include "tests/kernels/kernel_test.h"

namespace fallow::test {
namespace {

struct RunShape {
  std::int64_t position;  // positions held before the pass
  std::int64_t rows;
};

struct AttentionCase {
  const char* name;
  int heads;
  int kv_heads;
  int head_dim;
  std::vector<RunShape> runs;
  int window = 0;
  float soft_cap = 0;
  bool slopes = false;
};

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

// A pass over a cache: keys and values that were appended before, the pass's own, and its queries.
class Pass {
 public:
  Pass(const AttentionCase& c, KvFormat format)
      : case_(c), layout_{format, 2, c.kv_heads, c.head_dim} {
    Random random(c.head_dim + c.heads);
    for (const RunShape& shape : c.runs) AddRun(shape, random);
    pool_.resize((next_page_ + 1) * layout_.page_bytes() + 64);
    query_ = random.Many(rows_ * query_stride(), 8 / std::sqrt(static_cast<float>(c.head_dim)));
    for (int h = 0; h < c.heads; ++h) slopes_.push_back(1.0f / static_cast<float>(h + 2));
    LinkPages();
  }
  Pass(const Pass&) = delete;

  std::int64_t rows() const { return rows_; }
  std::int64_t query_stride() const { return case_.heads * case_.head_dim + 16; }
  std::int64_t out_stride() const { return case_.heads * case_.head_dim + 32; }
  const KvLayout& layout() const { return layout_; }
  KvView kv() {
    auto at = reinterpret_cast<std::uintptr_t>(pool_.data());
    return {layout_, pool_.data() + (64 - at % 64) % 64, 1};
  }
  std::vector<std::uint8_t> PoolBytes() {
    return {kv().pool, kv().pool + (next_page_ + 1) * layout_.page_bytes()};
  }
  std::vector<SequenceRun>& runs() { return runs_; }
  std::vector<float>& key(std::size_t run) { return sequences_[run].key; }
  std::vector<std::int32_t>& pages(std::size_t run) { return sequences_[run].pages; }

  // Appends all of each sequence.
  void Append(const KernelTable& kernels, bool in_pieces = false) {
    for (std::size_t i = 0; i < sequences_.size(); ++i) {
      const Sequence& sequence = sequences_[i];
      const SequenceRun run{0, sequence.length, 0, runs_[i].pages};
      const AppendArgs args{.key = sequence.key.data(),
                            .value = sequence.value.data(),
                            .stride = kv_stride(),
                            .runs = {&run, 1},
                            .kv = kv()};
      const auto append = [&](Range rows) { kernels.append(args, rows); };
      in_pieces ? InPieces(run.rows, append) : Whole(run.rows, append);
    }
  }

  std::vector<float> Attend(const KernelTable& kernels, bool in_pieces = false) {
    return Attend(kernels, runs_, in_pieces);
  }

  // Attention of these runs, which may be parts of the pass's.
  std::vector<float> Attend(const KernelTable& kernels, std::span<const SequenceRun> runs,
                            bool in_pieces = false) {
    std::vector<float> out(rows_ * out_stride(), -7.0f);
    const AttentionArgs args{.query = query_.data(),
                             .query_stride = query_stride(),
                             .out = out.data(),
                             .out_stride = out_stride(),
                             .heads = case_.heads,
                             .scale = 1 / std::sqrt(static_cast<float>(case_.head_dim)),
                             .window = case_.window,
                             .soft_cap = case_.soft_cap,
                             .slopes = case_.slopes ? slopes_.data() : nullptr,
                             .runs = runs,
                             .kv = kv()};
    const auto attend = [&](Range items) { kernels.attention(args, items); };
    in_pieces ? InPieces(AttentionItems(args), attend) : Whole(AttentionItems(args), attend);
    return out;
  }

  // What must not matter: ids of pages that no row sees, numbers of positions not yet there.
  void PoisonTheUnseen() {
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      const std::int64_t first = VisiblePositions(runs_[i].position, case_.window).begin;
      for (std::int64_t page = 0; page < first / kPagePositions; ++page) {
        sequences_[i].pages[page] = 1 << 29;
      }
      const std::int64_t length = sequences_[i].length;
      for (std::int64_t t = length; t % kPagePositions != 0; ++t) PoisonPosition(i, t);
    }
  }

 private:
  struct Sequence {
    std::int64_t length = 0;
    std::vector<float> key, value;  // [length, kv_heads, head_dim], row stride kv_stride()
    std::vector<std::int32_t> pages;
  };

  std::int64_t kv_stride() const { return case_.kv_heads * case_.head_dim + 48; }

  void AddRun(const RunShape& shape, Random& random) {
    Sequence sequence;
    sequence.length = shape.position + shape.rows;
    sequence.key = random.Many(sequence.length * kv_stride(), 2);
    sequence.value = random.Many(sequence.length * kv_stride(), 3);
    for (std::int64_t t = 0; t < sequence.length; ++t) ScalePosition(t, sequence);
    runs_.push_back({rows_, shape.rows, shape.position});
    rows_ += shape.rows;
    const std::int64_t pages = (sequence.length + kPagePositions - 1) / kPagePositions;
    for (std::int64_t i = 0; i < pages; ++i) sequence.pages.push_back(next_page_++);
    std::reverse(sequence.pages.begin(), sequence.pages.end());
    sequences_.push_back(std::move(sequence));
  }

  // Some positions' values are tiny or zero, and so are some keys: groups without codes.
  void ScalePosition(std::int64_t t, Sequence& sequence) {
    const float value = t % 5 == 0 ? 1e-9f : t % 7 == 0 ? 0.0f : 1.0f;
    const float key = t % 11 == 0 ? 1e-25f : 1.0f;
    for (std::int64_t i = t * kv_stride(); i < (t + 1) * kv_stride(); ++i) {
      sequence.value[i] *= value;
      sequence.key[i] *= key;
    }
  }

  void LinkPages() {
    for (std::size_t i = 0; i < runs_.size(); ++i) runs_[i].pages = sequences_[i].pages.data();
  }

  void PoisonPosition(std::size_t run, std::int64_t t) {
    const int place = static_cast<int>(t % kPagePositions);
    const int bytes = layout_.format == KvFormat::kFp32   ? 4
                      : layout_.format == KvFormat::kBf16 ? 2
                                                          : 1;
    for (int head = 0; head < layout_.kv_heads; ++head) {
      std::uint8_t* page = kv().head_page(sequences_[run].pages[t / kPagePositions], head);
      for (int i = 0; i < layout_.head_dim; ++i) {  // all bits set: NaN
        std::memset(page + layout_.key_offset(place, i), 255, bytes);
        std::memset(page + layout_.value_offset(place, i), 255, bytes);
      }
      for (int g = 0; layout_.format == KvFormat::kQ8 && g < layout_.head_dim / kGroup; ++g) {
        std::memset(page + layout_.key_scale_offset(place, g), 255, 2);
        std::memset(page + layout_.value_scale_offset(place, g), 255, 2);
      }
    }
  }

  AttentionCase case_;
  KvLayout layout_;
  std::int64_t rows_ = 0;
  std::int32_t next_page_ = 0;
  std::vector<Sequence> sequences_;
  std::vector<SequenceRun> runs_;
  std::vector<std::uint8_t> pool_;
  std::vector<float> query_, slopes_;
};

struct FormatTolerance {
  KvFormat format;
  double tolerance;
};

// Values are up to 3. Scores are up to some 10, so an error e of a score shifts a weight by e.
constexpr FormatTolerance kFormats[] = {
    {KvFormat::kFp32, 1e-5},  // sums of up to 300 floats; exp within 1 ulp, of a score within 1e-6
    {KvFormat::kBf16, 2e-2},  // query and softmax have 8 bits: 2^-9 of each
    {KvFormat::kQ8, 6e-2},    // the query has codes up to 127: half a step of its largest in each
};

TEST_CASE("attention by definition and on every instruction set has the same bits",
          "[kernels][attention]") {
  for (const AttentionCase& c : kCases) {
    CAPTURE(c.name);
    Pass exact(c, KvFormat::kQ8);
    exact.Append(kExactKernels);
    const auto want_pool = exact.PoolBytes();
    const auto want = exact.Attend(kExactKernels);
    CHECK(SameBits(exact.Attend(kExactKernels, true), want));
    for (const KernelTable* kernels : CpuKernels()) {
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
}

TEST_CASE("attention is what its formula says", "[kernels][attention]") {
  for (const AttentionCase& c : kCases) {
    for (const auto& [format, tolerance] : kFormats) {
      CAPTURE(c.name, format);
      Pass reference(c, format);
      reference.Append(kReferenceKernels);
      const auto want = reference.Attend(kReferenceKernels);
      if (format == KvFormat::kQ8) {
        CHECK(LargestError(reference.Attend(kExactKernels), want) <= tolerance);
      }
      for (const KernelTable* kernels : CpuKernels()) {
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
  }
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
    for (const KernelTable* kernels : CpuKernels()) {
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
  for (const KernelTable* kernels : CpuKernels()) {
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
    for (const KernelTable* kernels : CpuKernels()) {
      CAPTURE(kernels->name);
      Pass pass(c, KvFormat::kQ8);
      pass.Append(*kernels);
      CHECK(Hash(pass.Attend(*kernels)) == want);
    }
  }
}

TEST_CASE("no two numbers of a page share a byte, and padding is left alone",
          "[kernels][attention]") {
  for (KvFormat format : {KvFormat::kFp32, KvFormat::kBf16, KvFormat::kQ8}) {
    for (int head_dim : {16, 64, 80, 128}) {
      CAPTURE(format, head_dim);
      const KvLayout layout{format, 1, 1, head_dim};
      const int bytes = format == KvFormat::kFp32 ? 4 : format == KvFormat::kBf16 ? 2 : 1;
      std::vector<int> used(layout.head_bytes());
      const auto use = [&](std::int64_t offset, int count) {
        REQUIRE(offset + count <= layout.head_bytes());
        for (int i = 0; i < count; ++i) ++used[offset + i];
      };
      for (int t = 0; t < kPagePositions; ++t) {
        for (int i = 0; i < layout.padded_dim(); ++i) {
          use(layout.key_offset(t, i), bytes);
          use(layout.value_offset(t, i), bytes);
        }
        for (int g = 0; format == KvFormat::kQ8 && g < layout.padded_dim() / kGroup; ++g) {
          use(layout.key_scale_offset(t, g), 2);
          use(layout.value_scale_offset(t, g), 2);
        }
      }
      CHECK(std::count(used.begin(), used.end(), 1) == layout.head_bytes());
      CHECK(layout.page_bytes() % 64 == 0);
    }
  }
}

}  // namespace
}  // namespace fallow::test
