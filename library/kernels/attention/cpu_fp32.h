// Attention over float pages: keys lie as [dim][16 positions], values as [16 positions][dim].
#pragma once

#include <cstring>

#include "kernels/attention/cpu_chunk.h"

namespace fallow::FALLOW_ISA {
namespace {

template <int M>
class FloatPass {
 public:
  FALLOW_INLINE FloatPass(const HeadPages& pages, const Query (&queries)[M]) : pages_(pages) {
    for (int m = 0; m < M; ++m) x_[m] = queries[m].x;
  }

  FALLOW_INLINE void Scores(float scale, Chunk<M>& chunk) const {
    for (int i = chunk.first_page; i < chunk.end_page; ++i) {
      const std::uint8_t* keys = pages_.keys(chunk.page(i));
      const std::uint8_t* ahead = pages_.KeysAhead(chunk.page(i));
      Floats sum[M];
      FALLOW_UNROLL for (int m = 0; m < M; ++m) sum[m] = Zero();
      for (int dim = 0; dim < pages_.head_dim; ++dim) {
        const Floats key = AsFloats(LoadSlice(keys + dim * 64));
        Prefetch(ahead + dim * 64);
        FALLOW_UNROLL for (int m = 0; m < M; ++m) {
          sum[m] = MulAdd(key, Broadcast(x_[m][dim]), sum[m]);
        }
      }
      FALLOW_UNROLL for (int m = 0; m < M; ++m) {
        Store(sum[m] * Broadcast(scale), &chunk.weight[m][i * kPagePositions]);
      }
    }
  }

  FALLOW_INLINE void AddValues(const Query (&queries)[M], const Chunk<M>& chunk) const {
    for (int dim = 0; dim < pages_.head_dim; dim += 64) AddDims(dim, queries, chunk);
  }

 private:
  // Sums and merges dims [dim, dim + 64), over seen positions alone.
  FALLOW_INLINE void AddDims(int dim, const Query (&queries)[M], const Chunk<M>& chunk) const {
    Floats sum[4][M];
    FALLOW_UNROLL for (int j = 0; j < 4; ++j) {
      FALLOW_UNROLL for (int m = 0; m < M; ++m) sum[j][m] = Zero();
    }
    for (int t = chunk.seen.begin; t < chunk.seen.end; ++t) {
      const std::int64_t page = chunk.page(t / kPagePositions);
      const int offset = (t % kPagePositions * pages_.padded_dim + dim) * 4;
      const std::uint8_t* values = pages_.values(page) + offset;
      const std::uint8_t* ahead = pages_.ValuesAhead(page) + offset;
      Floats value[4];
      FALLOW_UNROLL for (int j = 0; j < 4; ++j) {
        value[j] = AsFloats(LoadSlice(values + j * 64));
        Prefetch(ahead + j * 64);
      }
      FALLOW_UNROLL for (int m = 0; m < M; ++m) {
        const Floats weight = Broadcast(chunk.weight[m][t]);
        FALLOW_UNROLL for (int j = 0; j < 4; ++j) sum[j][m] = MulAdd(weight, value[j], sum[j][m]);
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

  const HeadPages& pages_;
  const float* x_[M];
};

// Writes one position's key and value of one kv head.
FALLOW_INLINE void PutFloat(const float* key, const float* value, const KvLayout& layout,
                            int position, std::uint8_t* page) {
  for (int i = 0; i < layout.head_dim; ++i) {
    std::memcpy(page + i * 64 + position * 4, key + i, sizeof(float));
  }
  std::memcpy(page + layout.key_bytes() + position * layout.padded_dim() * 4, value,
              sizeof(float) * static_cast<std::size_t>(layout.head_dim));
}

}  // namespace
}  // namespace fallow::FALLOW_ISA
