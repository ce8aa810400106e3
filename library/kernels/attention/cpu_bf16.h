// Attention over bf16 pages: keys are a panel of bf16 weights whose rows are positions; values are
// panels whose rows are dims, and the softmax is rounded to bf16 to multiply them.
#pragma once

#include <cstring>

#include "kernels/attention/cpu_chunk.h"

namespace fallow::FALLOW_ISA {
namespace {

constexpr int kValuePanelBytes = kPagePositions / 2 * 64;  // of 16 dims

template <int M>
class Bf16Pass {
 public:
  FALLOW_INLINE Bf16Pass(const HeadPages& pages, const Query (&queries)[M]) : pages_(pages) {
    for (int m = 0; m < M; ++m) {
      for (int i = 0; i < pages.head_dim; i += 16) StoreBf16(Load(queries[m].x + i), x_[m] + i);
    }
  }

  FALLOW_INLINE void Scores(float scale, Chunk<M>& chunk) const {
    int i = chunk.first_page;
    for (; i + 2 <= chunk.end_page; i += 2) ScorePages<2>(scale, i, chunk);
    if (i < chunk.end_page) ScorePages<1>(scale, i, chunk);
  }

  FALLOW_INLINE void AddValues(const Query (&queries)[M], const Chunk<M>& chunk) const {
    alignas(64) std::uint16_t weight[M][exact::kChunk];
    for (int m = 0; m < M; ++m) {
      for (int i = chunk.first_page; i < chunk.end_page; ++i) {
        const int at = i * kPagePositions;
        StoreBf16(Load(&chunk.weight[m][at]), &weight[m][at]);
      }
    }
    for (int dim = 0; dim < pages_.head_dim; dim += 64) AddDims(dim, weight, queries, chunk);
  }

 private:
  template <int R>
  FALLOW_INLINE void ScorePages(float scale, int first, Chunk<M>& chunk) const {
    const std::uint8_t* keys[R];
    const std::uint8_t* ahead[R];
    Floats sum[R][M];
    FALLOW_UNROLL for (int r = 0; r < R; ++r) {
      keys[r] = pages_.keys(chunk.page(first + r));
      ahead[r] = pages_.KeysAhead(chunk.page(first + r));
      FALLOW_UNROLL for (int m = 0; m < M; ++m) sum[r][m] = Zero();
    }
    for (int dim = 0; dim < pages_.head_dim; dim += 2) {
      FALLOW_UNROLL for (int r = 0; r < R; ++r) {
        const Slice slice = LoadSlice(keys[r] + dim * 32);
        Prefetch(ahead[r] + dim * 32);
        FALLOW_UNROLL for (int m = 0; m < M; ++m) {
          sum[r][m] = DotBf16(sum[r][m], slice, x_[m] + dim);
        }
      }
    }
    FALLOW_UNROLL for (int r = 0; r < R; ++r) {
      FALLOW_UNROLL for (int m = 0; m < M; ++m) {
        Store(sum[r][m] * Broadcast(scale), &chunk.weight[m][(first + r) * kPagePositions]);
      }
    }
  }

  // Sums and merges dims [dim, dim + 64), over pairs of positions of which at least one is seen.
  FALLOW_INLINE void AddDims(int dim, const std::uint16_t (&weight)[M][exact::kChunk],
                             const Query (&queries)[M], const Chunk<M>& chunk) const {
    Floats sum[4][M];
    FALLOW_UNROLL for (int j = 0; j < 4; ++j) {
      FALLOW_UNROLL for (int m = 0; m < M; ++m) sum[j][m] = Zero();
    }
    for (int t = chunk.seen.begin / 2 * 2; t < chunk.seen.end; t += 2) {
      const std::int64_t page = chunk.page(t / kPagePositions);
      const int offset = dim / 16 * kValuePanelBytes + t % kPagePositions / 2 * 64;
      const std::uint8_t* values = pages_.values(page) + offset;
      const std::uint8_t* ahead = pages_.ValuesAhead(page) + offset;
      Slice value[4];
      FALLOW_UNROLL for (int j = 0; j < 4; ++j) {
        value[j] = LoadPair(values + j * kValuePanelBytes, t, chunk.seen);
        Prefetch(ahead + j * kValuePanelBytes);
      }
      FALLOW_UNROLL for (int m = 0; m < M; ++m) {
        FALLOW_UNROLL for (int j = 0; j < 4; ++j) {
          sum[j][m] = DotBf16(sum[j][m], value[j], weight[m] + t);
        }
      }
    }
    const int vectors = pages_.head_dim - dim < 64 ? (pages_.head_dim - dim) / 16 : 4;
    FALLOW_UNROLL for (int j = 0; j < 4; ++j) {
      if (j >= vectors) break;
      FALLOW_UNROLL for (int m = 0; m < M; ++m) {
        MergeDims(chunk, m, sum[j][m], queries[m].out + dim + 16 * j);
      }
    }
  }

  // The values of positions t and t + 1; those of one that is not seen, which may be NaN, as zero.
  static FALLOW_INLINE Slice LoadPair(const std::uint8_t* values, int t, Places seen) {
    const bool first = seen.begin <= t;
    const bool second = t + 1 < seen.end;
    if (first && second) return LoadSlice(values);
    std::uint8_t one[64];
    for (int lane = 0; lane < 16; ++lane) {
      std::uint32_t pair;
      std::memcpy(&pair, values + 4 * lane, sizeof pair);
      pair &= first ? 0x0000ffffu : 0xffff0000u;
      std::memcpy(one + 4 * lane, &pair, sizeof pair);
    }
    return LoadSlice(one);
  }

  const HeadPages& pages_;
  alignas(64) std::uint16_t x_[M][kMaxHeadDim];
};

// Writes one position's key and value of one kv head.
FALLOW_INLINE void PutBf16(const float* key, const float* value, const KvLayout& layout,
                           int position, std::uint8_t* page) {
  std::uint8_t* values = page + layout.key_bytes() + position / 2 * 64 + position % 2 * 2;
  for (int dim = 0; dim < layout.head_dim; dim += 16) {
    std::uint16_t bits[16];
    StoreBf16(Load(key + dim), bits);
    for (int i = 0; i < 16; i += 2) {
      std::memcpy(page + (dim + i) * 32 + position * 4, bits + i, 2 * sizeof bits[0]);
    }
    StoreBf16(Load(value + dim), bits);
    for (int i = 0; i < 16; ++i) {
      std::memcpy(values + dim / 16 * kValuePanelBytes + i * 4, bits + i, sizeof bits[0]);
    }
  }
}

}  // namespace
}  // namespace fallow::FALLOW_ISA
