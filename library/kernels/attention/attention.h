// Attention over paged keys and values, and their appending to the pages.
#pragma once

#include <cstdint>
#include <span>

#include "base/range.h"
#include "kernels/attention/kv_page.h"

namespace fallow {

// Writes the keys and values of a pass's rows into their pages, rounding as the format says.
//   key, value  [rows, kv_heads, head_dim], row stride `stride`
// Work is split by rows of the pass. A page that is begun must have been zeroed before.
struct AppendArgs {
  const float* key = nullptr;
  const float* value = nullptr;
  std::int64_t stride = 0;
  std::span<const SequenceRun> runs;
  KvView kv = {};
};

// For each row at position p and each head, over the visible positions t:
//   score[t] = scale * (query . key[t]);  soft_cap * tanh(score / soft_cap) if soft_cap > 0
//              + slope[head] * (t - p) if slopes are given (ALiBi)
//   out = sum over t of softmax(score)[t] * value[t]
// Visible: t <= p, and p - t < window if window > 0. Query head h reads kv head
// h / (heads / kv_heads).
//   query, out  [rows, heads, head_dim], row strides query_stride, out_stride; they do not overlap
// head_dim is a multiple of 16, at most kMaxHeadDim.
// The pages' format chooses the arithmetic: kFp32 floats; kBf16 query and softmax rounded to bf16,
// sums fp32; kQ8 query rounded to int8 and every order fixed (chunks of 128 positions: exact.cc),
// which is the definition of kExact.
// Pages that no row of a run sees are not read, so their ids may be stale; positions beyond the
// last row's may hold anything.
// Work is split into items: AttentionItems() of them, each some rows of one run and one kv head;
// later items may cost more than earlier ones.
// Sources: Vaswani et al., 2017; Ainslie et al., GQA, 2023; Press et al., ALiBi, 2022.
struct AttentionArgs {
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
  KvView kv = {};
};

inline constexpr int kMaxHeadDim = 256;
inline constexpr std::int64_t kAttentionRows = 8;  // rows of a run in one item, at most

std::int64_t AttentionItems(const AttentionArgs& args);

struct AttentionItem {
  const SequenceRun* run = nullptr;
  Range rows;  // of the run, counted from its first
  int kv_head = 0;
};

// 0 <= index < AttentionItems(args).
AttentionItem AttentionItemAt(const AttentionArgs& args, std::int64_t index);

// What a row at `position` sees.
Range VisiblePositions(std::int64_t position, int window);

}  // namespace fallow
