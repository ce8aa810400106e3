// A pass of attention over a cache of its own, for tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/attention/attention.h"
#include "tests/kernels/kernel_test.h"

namespace fallow::test {

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

}  // namespace fallow::test
