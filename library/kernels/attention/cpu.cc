// Attention on sixteen lanes: see cpu_chunk.h for how, and a header for each format of pages.
#include "kernels/attention/cpu_bf16.h"
#include "kernels/attention/cpu_chunk.h"
#include "kernels/attention/cpu_fp32.h"
#include "kernels/attention/cpu_q8.h"
#include "kernels/functions.h"

namespace fallow::FALLOW_ISA {
namespace {

// What M queries see of one chunk; their work is to come.
template <int M>
FALLOW_INLINE void StartChunk(std::int64_t begin, Range seen, const Query (&queries)[M],
                              Chunk<M>& chunk) {
  chunk.begin = begin;
  chunk.seen = PlacesIn(seen, begin);
  chunk.first_page = chunk.seen.begin / kPagePositions;
  chunk.end_page = (chunk.seen.end + kPagePositions - 1) / kPagePositions;
  for (int m = 0; m < M; ++m) chunk.visible[m] = PlacesIn(queries[m].visible, begin);
}

template <int M>
FALLOW_INLINE Range SeenBy(const Query (&queries)[M]) {
  Range seen = queries[0].visible;
  for (int m = 1; m < M; ++m) {
    const Range visible = queries[m].visible;
    if (visible.begin < seen.begin) seen.begin = visible.begin;
    if (visible.end > seen.end) seen.end = visible.end;
  }
  return seen;
}

FALLOW_INLINE void ClearOut(const Query& query, int dims) {
  for (int i = 0; i < dims; i += 16) Store(Zero(), query.out + i);
}

FALLOW_INLINE void DivideOut(const Query& query, int dims, float total) {
  const Floats inverse = Broadcast(1.0f / total);
  for (int i = 0; i < dims; i += 16) Store(Load(query.out + i) * inverse, query.out + i);
}

template <template <int> class Pass, int M>
void Attend(const AttentionArgs& args, const HeadPages& pages, const Query (&queries)[M]) {
  const Pass<M> pass(pages, queries);
  const Range seen = SeenBy(queries);
  Running running[M];
  for (const Query& query : queries) ClearOut(query, pages.head_dim);
  Chunk<M> chunk;
  const std::int64_t first = seen.begin / exact::kChunk * exact::kChunk;
  for (std::int64_t begin = first; begin < seen.end; begin += exact::kChunk) {
    StartChunk(begin, seen, queries, chunk);
    pass.Scores(args.scale, chunk);
    for (int m = 0; m < M; ++m) Softmax(args, queries[m], m, chunk, running[m]);
    pass.AddValues(queries, chunk);
  }
  for (int m = 0; m < M; ++m) DivideOut(queries[m], pages.head_dim, running[m].total);
}

// The queries of an item, numbered by row, then head.
struct ItemQueries {
  const AttentionArgs& args;
  const AttentionItem& item;
  int group;  // query heads of a kv head

  FALLOW_INLINE std::int64_t count() const { return item.rows.size() * group; }

  FALLOW_INLINE Query at(std::int64_t index) const {
    const std::int64_t run_row = item.rows.begin + index / group;
    const std::int64_t row = item.run->first_row + run_row;
    const std::int64_t head = item.kv_head * group + index % group;
    const std::int64_t offset = head * args.kv.layout.head_dim;
    const std::int64_t position = item.run->position + run_row;
    return {args.query + row * args.query_stride + offset,
            args.out + row * args.out_stride + offset, position,
            VisiblePositions(position, args.window), args.slopes ? args.slopes[head] : 0.0f};
  }
};

// Queries from `next` on, M at a time, then the rest together.
template <template <int> class Pass, int M = Tiles::kAttentionRows>
void AttendQueries(const HeadPages& pages, const ItemQueries& queries, std::int64_t next) {
  for (; next + M <= queries.count(); next += M) {
    Query batch[M];
    for (int m = 0; m < M; ++m) batch[m] = queries.at(next + m);
    Attend<Pass, M>(queries.args, pages, batch);
  }
  if constexpr (M > 1) {
    if (next < queries.count()) AttendQueries<Pass, M - 1>(pages, queries, next);
  }
}

HeadPages PagesOf(const AttentionArgs& args, const AttentionItem& item) {
  const KvLayout& layout = args.kv.layout;
  const std::int64_t position = item.run->position;
  const Range first = VisiblePositions(position + item.rows.begin, args.window);
  const Range last = VisiblePositions(position + item.rows.end - 1, args.window);
  return {.first = args.kv.head_page(0, item.kv_head),
          .page_bytes = layout.page_bytes(),
          .ids = item.run->pages,
          .seen = {first.begin / kPagePositions, (last.end - 1) / kPagePositions + 1},
          .key_bytes = layout.key_bytes(),
          .next_block = args.kv.block + 1 < layout.blocks ? layout.block_bytes() : 0,
          .head_dim = layout.head_dim,
          .padded_dim = layout.padded_dim()};
}

void AttendItem(const AttentionArgs& args, const AttentionItem& item) {
  const HeadPages pages = PagesOf(args, item);
  const ItemQueries queries{args, item, args.heads / args.kv.layout.kv_heads};
  switch (args.kv.layout.format) {
    case KvFormat::kFp32:
      return AttendQueries<FloatPass>(pages, queries, 0);
    case KvFormat::kBf16:
      return AttendQueries<Bf16Pass>(pages, queries, 0);
    case KvFormat::kQ8:
      return AttendQueries<Int8Pass>(pages, queries, 0);
  }
}

void Put(const float* key, const float* value, const KvLayout& layout, int position,
         std::uint8_t* page) {
  switch (layout.format) {
    case KvFormat::kFp32:
      return PutFloat(key, value, layout, position, page);
    case KvFormat::kBf16:
      return PutBf16(key, value, layout, position, page);
    case KvFormat::kQ8:
      return PutInt8(key, value, layout, position, page);
  }
}

}  // namespace

void Append(const AppendArgs& args, Range rows) {
  const KvLayout& layout = args.kv.layout;
  for (const SequenceRun& run : args.runs) {
    const Range part = RowsOfRun(run, rows);
    for (std::int64_t i = part.begin; i < part.end; ++i) {
      const std::int64_t position = run.position + i;
      const std::int64_t row = (run.first_row + i) * args.stride;
      for (int head = 0; head < layout.kv_heads; ++head) {
        const std::int64_t at = row + head * layout.head_dim;
        Put(args.key + at, args.value + at, layout, static_cast<int>(position % kPagePositions),
            args.kv.head_page(run.pages[position / kPagePositions], head));
      }
    }
  }
}

void Attention(const AttentionArgs& args, Range items) {
  for (std::int64_t index = items.begin; index < items.end; ++index) {
    AttendItem(args, AttentionItemAt(args, index));
  }
}

}  // namespace fallow::FALLOW_ISA
