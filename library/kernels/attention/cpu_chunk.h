// Attention on sixteen lanes: what the formats of pages have in common.
//
// A few queries of one kv head pass together over the pages that they see, in chunks of 128
// positions: scores, softmax within the chunk, sum of values, merging into what earlier chunks
// gave. A page's 16 positions are the 16 lanes. All formats follow the exact class's order, which
// exact.cc defines.
#pragma once

#include "kernels/attention/attention.h"
#include "kernels/cpu/vector_math.h"

namespace fallow::FALLOW_ISA {
namespace {

constexpr float kMinusInfinity = -__builtin_inff();
constexpr int kChunkPages = exact::kChunk / kPagePositions;
constexpr int kPagesAhead = kChunkPages;  // distance of prefetching

// One query head of one row.
struct Query {
  const float* x;
  float* out;
  std::int64_t position;
  Range visible;
  float slope;  // of ALiBi, if args.slopes
};

// The pages of one sequence and kv head.
struct HeadPages {
  const std::uint8_t* first;  // of page 0
  std::int64_t page_bytes;
  const std::int32_t* ids;
  Range seen;  // numbers of pages that may be read
  std::int64_t key_bytes;
  std::int64_t next_block;  // bytes to the same in the next block; 0 in the last
  int head_dim;
  int padded_dim;

  FALLOW_INLINE const std::uint8_t* keys(std::int64_t page) const {
    return first + ids[page] * page_bytes;
  }
  FALLOW_INLINE const std::uint8_t* values(std::int64_t page) const {
    return keys(page) + key_bytes;
  }
  // What to prefetch while `page` is read: a later page, and behind the last those that the next
  // block begins with. Nothing else would ask for them before they are needed.
  FALLOW_INLINE const std::uint8_t* KeysAhead(std::int64_t page) const {
    const std::int64_t later = page + kPagesAhead;
    if (later < seen.end) return keys(later);
    const std::int64_t beginning = seen.begin + later - seen.end;
    return keys(beginning < page ? beginning : page) + next_block;
  }
  FALLOW_INLINE const std::uint8_t* ValuesAhead(std::int64_t page) const {
    return KeysAhead(page) + key_bytes;
  }
};

// Places of a chunk, 0 … 128.
struct Places {
  int begin = 0;
  int end = 0;

  FALLOW_INLINE bool empty() const { return begin >= end; }
  FALLOW_INLINE bool CoverPage(int page) const {
    return begin <= page * kPagePositions && (page + 1) * kPagePositions <= end;
  }
};

FALLOW_INLINE Places PlacesIn(Range positions, std::int64_t chunk_begin) {
  const std::int64_t begin = positions.begin - chunk_begin;
  const std::int64_t end = positions.end - chunk_begin;
  return {static_cast<int>(begin < 0 ? 0 : begin),
          static_cast<int>(end > exact::kChunk ? exact::kChunk : end)};
}

FALLOW_INLINE Floats LaneNumbers() {
  static constexpr float kNumbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return Load(kNumbers);
}

// A page's lanes: `x` where the place lies in `places`, else `other`.
FALLOW_INLINE Floats Within(Places places, int page, Floats x, float other) {
  const Floats place = LaneNumbers() + Broadcast(static_cast<float>(page * kPagePositions));
  const Floats outside = Broadcast(other);
  x = IfLess(place, Broadcast(static_cast<float>(places.end)), x, outside);
  return IfLess(place, Broadcast(static_cast<float>(places.begin)), outside, x);
}

// The work on one chunk for M queries.
template <int M>
struct Chunk {
  std::int64_t begin;  // position
  int first_page;      // pages of the chunk that some query sees: [first_page, end_page)
  int end_page;
  Places seen;                                 // by some query
  Places visible[M];                           // by each
  float keep[M];                               // factor of what earlier chunks gave
  float take[M];                               // factor of this chunk
  alignas(64) float weight[M][exact::kChunk];  // scores, then softmax without its division

  FALLOW_INLINE std::int64_t page(int i) const { return begin / kPagePositions + i; }
};

// Softmax over the chunks so far.
struct Running {
  float largest = kMinusInfinity;
  float total = 0;
};

// out = out * keep + sum * take, for 16 dims of query m.
template <int M>
FALLOW_INLINE void MergeDims(const Chunk<M>& chunk, int m, Floats sum, float* out) {
  if (chunk.visible[m].empty()) return;
  const Floats kept = Load(out) * Broadcast(chunk.keep[m]);
  Store(Fma(sum, Broadcast(chunk.take[m]), kept), out);
}

// Soft cap and ALiBi of 16 positions from `position` on.
FALLOW_INLINE Floats Shape(const AttentionArgs& args, const Query& query, std::int64_t position,
                           Floats score) {
  if (args.soft_cap > 0) {
    const Floats cap = Broadcast(args.soft_cap);
    score = cap * Tanh(score / cap);
  }
  if (args.slopes) {
    const Floats first = Broadcast(static_cast<float>(position - query.position));
    score = Fma(Broadcast(query.slope), first + LaneNumbers(), score);
  }
  return score;
}

// Turns query m's scores into weights and sets the factors by which it merges.
template <int M>
FALLOW_INLINE void Softmax(const AttentionArgs& args, const Query& query, int m, Chunk<M>& chunk,
                           Running& running) {
  const Places visible = chunk.visible[m];
  float* weight = chunk.weight[m];
  Floats highest = Broadcast(kMinusInfinity);
  for (int page = chunk.first_page; page < chunk.end_page; ++page) {
    float* at = weight + page * kPagePositions;
    Floats score = Shape(args, query, chunk.begin + page * kPagePositions, Load(at));
    if (!visible.CoverPage(page)) score = Within(visible, page, score, kMinusInfinity);
    highest = Max(score, highest);
    Store(score, at);
  }
  const float chunk_largest = MaxLane(highest);
  Floats total = Zero();
  for (int page = chunk.first_page; page < chunk.end_page; ++page) {
    float* at = weight + page * kPagePositions;
    const Floats e = Exp(Load(at) - Broadcast(chunk_largest));
    total = total + e;
    Store(e, at);
  }
  if (visible.empty()) return;
  const float largest = exact::Max(chunk_largest, running.largest);
  chunk.keep[m] = exact::Exp(running.largest - largest);
  chunk.take[m] = exact::Exp(chunk_largest - largest);
  running.largest = largest;
  running.total = exact::Fma(TreeSum(total), chunk.take[m], running.total * chunk.keep[m]);
}

}  // namespace
}  // namespace fallow::FALLOW_ISA
