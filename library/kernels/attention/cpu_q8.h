// Attention over int8 pages, the exact class's: keys are a panel of int8 weights whose rows are
// positions, values are read row by row.
#pragma once

#include <cstring>

#include "kernels/attention/cpu_chunk.h"

namespace fallow::FALLOW_ISA {
namespace {

constexpr int kKeyScaleBytes = 64;                       // of 64 dims
constexpr int kKeyGroupBytes = kGroup * kPagePositions;  // codes of 32 dims
constexpr int kKeyBlockBytes = kKeyScaleBytes + 2 * kKeyGroupBytes;

template <int M>
class Int8Pass {
 public:
  FALLOW_INLINE Int8Pass(const HeadPages& pages, const Query (&queries)[M])
      : pages_(pages), groups_((pages.head_dim + kGroup - 1) / kGroup) {
    for (int m = 0; m < M; ++m) {
      for (int g = 0; g < groups_; ++g) QuantiseQuery(queries[m].x, m, g);
    }
  }

  FALLOW_INLINE void Scores(float scale, Chunk<M>& chunk) const {
    int i = chunk.first_page;
    for (; i + 2 <= chunk.end_page; i += 2) ScorePages<2>(scale, i, chunk);
    if (i < chunk.end_page) ScorePages<1>(scale, i, chunk);
  }

  FALLOW_INLINE void AddValues(const Query (&queries)[M], const Chunk<M>& chunk) const {
    for (int dim = 0; dim < pages_.head_dim; dim += 64) AddDims(dim, queries, chunk);
  }

 private:
  FALLOW_INLINE void QuantiseQuery(const float* x, int m, int g) {
    float group[kGroup] = {};
    const int count = pages_.head_dim - g * kGroup < kGroup ? pages_.head_dim % kGroup : kGroup;
    std::memcpy(group, x + g * kGroup, sizeof(float) * static_cast<std::size_t>(count));
    const exact::GroupScale scale =
        FALLOW_ISA::QuantiseGroup(group, exact::ScaleFormat::kFp32, codes_[m] + g * kGroup);
    scale_[m][g] = scale.scale;
    correction_[m][g] = (kByteBias - 128) * scale.sum;
  }

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
    for (int g = 0; g < groups_; ++g) AddGroup<R>(keys, ahead, g, sum);
    FALLOW_UNROLL for (int r = 0; r < R; ++r) {
      FALLOW_UNROLL for (int m = 0; m < M; ++m) {
        Store(sum[r][m] * Broadcast(scale), &chunk.weight[m][(first + r) * kPagePositions]);
      }
    }
  }

  // Adds the products of 32 dims of R key pages with the queries.
  template <int R>
  FALLOW_INLINE void AddGroup(const std::uint8_t* const (&keys)[R],
                              const std::uint8_t* const (&ahead)[R], int g,
                              Floats (&sum)[R][M]) const {
    const int block = g / 2 * kKeyBlockBytes;
    const int slices = block + kKeyScaleBytes + g % 2 * kKeyGroupBytes;
    Ints dot[R][M];
    FALLOW_UNROLL for (int r = 0; r < R; ++r) {
      FALLOW_UNROLL for (int m = 0; m < M; ++m) dot[r][m] = BroadcastInt(correction_[m][g]);
      if (g % 2 == 0) Prefetch(ahead[r] + block);
    }
    FALLOW_UNROLL for (int j = 0; j < kGroup / 4; ++j) {
      FALLOW_UNROLL for (int r = 0; r < R; ++r) {
        const Slice slice = LoadSlice(keys[r] + slices + j * 64);
        Prefetch(ahead[r] + slices + j * 64);
        FALLOW_UNROLL for (int m = 0; m < M; ++m) {
          dot[r][m] = DotBytes(dot[r][m], slice, codes_[m] + g * kGroup + j * 4);
        }
      }
    }
    FALLOW_UNROLL for (int r = 0; r < R; ++r) {
      const Floats key_scale = LoadBf16(keys[r] + block + g % 2 * 32);
      FALLOW_UNROLL for (int m = 0; m < M; ++m) {
        sum[r][m] = Fma(ToFloat(dot[r][m]), key_scale * Broadcast(scale_[m][g]), sum[r][m]);
      }
    }
  }

  // weight * value scale of the groups at `dim` and dim + 32. Zero where a position is not visible,
  // whatever its scale is.
  FALLOW_INLINE void ScaleWeights(int dim, const Chunk<M>& chunk,
                                  float (&scaled)[M][2][exact::kChunk]) const {
    for (int i = chunk.first_page; i < chunk.end_page; ++i) {
      const std::uint8_t* scales =
          pages_.values(chunk.page(i)) + kPagePositions * pages_.padded_dim + dim / kGroup * 32;
      FALLOW_UNROLL for (int half = 0; half < 2; ++half) {
        const Floats value_scale = LoadBf16(scales + half * 32);
        FALLOW_UNROLL for (int m = 0; m < M; ++m) {
          Floats w = Load(&chunk.weight[m][i * kPagePositions]) * value_scale;
          if (!chunk.visible[m].CoverPage(i)) w = Within(chunk.visible[m], i, w, 0.0f);
          Store(w, &scaled[m][half][i * kPagePositions]);
        }
      }
    }
  }

  // Sums and merges dims [dim, dim + 64).
  FALLOW_INLINE void AddDims(int dim, const Query (&queries)[M], const Chunk<M>& chunk) const {
    alignas(64) float scaled[M][2][exact::kChunk];
    ScaleWeights(dim, chunk, scaled);
    Floats sum[4][M];
    FALLOW_UNROLL for (int j = 0; j < 4; ++j) {
      FALLOW_UNROLL for (int m = 0; m < M; ++m) sum[j][m] = Zero();
    }
    for (int i = chunk.first_page; i < chunk.end_page; ++i) AddPage(dim, i, chunk, scaled, sum);
    const int vectors = pages_.head_dim - dim < 64 ? (pages_.head_dim - dim) / 16 : 4;
    FALLOW_UNROLL for (int j = 0; j < 4; ++j) {
      if (j >= vectors) break;
      FALLOW_UNROLL for (int m = 0; m < M; ++m) {
        MergeDims(chunk, m, sum[j][m], queries[m].out + dim + 16 * j);
      }
    }
  }

  FALLOW_INLINE void AddPage(int dim, int i, const Chunk<M>& chunk,
                             const float (&scaled)[M][2][exact::kChunk],
                             Floats (&sum)[4][M]) const {
    const std::uint8_t* values = pages_.values(chunk.page(i)) + dim;
    const std::uint8_t* ahead = pages_.ValuesAhead(chunk.page(i)) + dim;
    for (int t = 0; t < kPagePositions; ++t) {
      const auto* row = reinterpret_cast<const std::int8_t*>(values + t * pages_.padded_dim);
      Prefetch(ahead + t * pages_.padded_dim);
      Floats code[4];
      FALLOW_UNROLL for (int j = 0; j < 4; ++j) code[j] = LoadInt8(row + 16 * j);
      FALLOW_UNROLL for (int m = 0; m < M; ++m) {
        const Floats low = Broadcast(scaled[m][0][i * kPagePositions + t]);
        const Floats high = Broadcast(scaled[m][1][i * kPagePositions + t]);
        sum[0][m] = Fma(low, code[0], sum[0][m]);
        sum[1][m] = Fma(low, code[1], sum[1][m]);
        sum[2][m] = Fma(high, code[2], sum[2][m]);
        sum[3][m] = Fma(high, code[3], sum[3][m]);
      }
    }
  }

  const HeadPages& pages_;
  int groups_;
  alignas(64) std::int8_t codes_[M][kMaxHeadDim];
  float scale_[M][kMaxHeadDim / kGroup];
  // For what DotBytes leaves of the 128 that key codes are raised by.
  std::int32_t correction_[M][kMaxHeadDim / kGroup];
};

FALLOW_INLINE void StoreScale(float scale, std::uint8_t* to) {
  const std::uint16_t bits = Bf16FromFloat(scale);
  std::memcpy(to, &bits, sizeof bits);
}

FALLOW_INLINE void PutKeyGroup(const std::int8_t* codes, float scale, int g, int position,
                               std::uint8_t* page) {
  std::uint8_t* block = page + g / 2 * kKeyBlockBytes;
  StoreScale(scale, block + g % 2 * 32 + position * 2);
  std::uint8_t* slices = block + kKeyScaleBytes + g % 2 * kKeyGroupBytes + position * 4;
  for (int i = 0; i < kGroup; i += 4) {
    std::uint32_t four;
    std::memcpy(&four, codes + i, sizeof four);
    four ^= 0x80808080u;  // code + 128
    std::memcpy(slices + i / 4 * 64, &four, sizeof four);
  }
}

// Writes one position's key and value of one kv head. A failed key fails the value too: see
// exact.cc.
FALLOW_INLINE void PutInt8(const float* key, const float* value, const KvLayout& layout,
                           int position, std::uint8_t* page) {
  const int dims = layout.head_dim;
  const int groups = (dims + kGroup - 1) / kGroup;
  std::uint8_t* values = page + layout.key_bytes();
  std::uint8_t* value_scales = values + kPagePositions * layout.padded_dim();
  bool failed = false;
  for (int g = 0; g < groups; ++g) {
    const int count = dims - g * kGroup < kGroup ? dims % kGroup : kGroup;
    float group[kGroup] = {};
    std::int8_t codes[kGroup];
    std::memcpy(group, key + g * kGroup, sizeof(float) * static_cast<std::size_t>(count));
    const float scale = FALLOW_ISA::QuantiseGroup(group, exact::ScaleFormat::kBf16, codes).scale;
    PutKeyGroup(codes, scale, g, position, page);
    failed = failed || scale != scale;
    std::memcpy(group, value + g * kGroup, sizeof(float) * static_cast<std::size_t>(count));
    StoreScale(FALLOW_ISA::QuantiseGroup(group, exact::ScaleFormat::kBf16, codes).scale,
               value_scales + g * 32 + position * 2);
    std::memcpy(values + position * layout.padded_dim() + g * kGroup, codes, kGroup);
  }
  for (int g = 0; failed && g < groups; ++g) {
    StoreScale(exact::kNoNumber, value_scales + g * 32 + position * 2);
  }
}

}  // namespace
}  // namespace fallow::FALLOW_ISA
