// Attention over paged keys and values, and their appending to the pages.
#pragma once

#include <cstdint>
#include <span>

#include "base/range.h"
#include "kernels/attention/kv_page.h"
#include "kernels/numeric.h"

namespace fallow {

// Writes the keys and values of a pass's rows into their pages, rounding as the format says.
//   key, value  [rows, kv_heads, head_dim], row stride `stride`
// Work is split by rows of the pass. A page that is begun must have been zeroed before.
struct AppendArgs {
  const float* key = nullptr;
  const float* value = nullptr;
  std::int64_t stride = 0;
  std::span<const SequenceRun> runs;
  KvView kv;
};

// For each row at position p and each head, over the visible positions t:
//   score[t] = scale * (query . key[t]);  soft_cap * tanh(score / soft_cap) if soft_cap > 0
//              + slope[head] * (t - p) if slopes are given (ALiBi)
//   out = sum over t of softmax(score)[t] * value[t]
// Visible: t <= p, and p - t < window if window > 0. Query head h reads kv head h /
// (heads/kv_heads).
//   query, out  [rows, heads, head_dim], row strides query_stride, out_stride
// kExact takes kQ8 pages and fixes every order (chunks of 128 positions; see exact.cc); the others
// take kFp32 or kBf16 (kQ8 too, with kBf16).
// Work is split into items: AttentionItems() of them, each some rows of one run and one kv head;
// later items may cost more than earlier ones.
// Sources: Vaswani et al., 2017; Ainslie et al., GQA, 2023; Press et al., ALiBi, 2022.
struct AttentionArgs {
  Arithmetic arithmetic = Arithmetic::kFp32;
  const float* query = nullptr;
  std::int64_t query_stride = 0;
  float* out = nullptr;
  std::int64_t out_stride = 0;
  int heads = 0;
  float scale = 1;
  int window = 0;
  float soft_cap = 0;
  const float* slopes = nullptr;  // [heads] or null
  std::span<const SequenceRun> runs;
  KvView kv;
};

inline constexpr std::int64_t kAttentionRows = 8;  // rows of a run in one item, at most

inline std::int64_t AttentionItems(const AttentionArgs& args) {
  std::int64_t tiles = 0;
  for (const SequenceRun& run : args.runs)
    tiles += (run.rows + kAttentionRows - 1) / kAttentionRows;
  return tiles * args.kv.layout.kv_heads;
}

}  // namespace fallow
