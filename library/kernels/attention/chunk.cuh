// What a block of kernel.cuh does with a chunk of 128 positions.
#pragma once

#include "kernels/attention/attention.h"
#include "kernels/attention/pages.cuh"
#include "kernels/attention/pass_rows.h"
#include "kernels/attention/values.cuh"
#include "kernels/exact_math.h"
#include "kernels/quantize/kernel.cuh"

namespace fallow::cuda {

inline constexpr int kAttentionThreads = exact::kChunk;
inline constexpr int kAttentionWarps = kAttentionThreads / kWarp;
inline constexpr float kLowest = -__builtin_inff();

// AttentionArgs for a device.
struct AttentionCall {
  const float* query;
  std::int64_t query_stride;
  float* out;
  std::int64_t out_stride;
  int heads;
  float scale;
  int window;
  float soft_cap;
  const float* slopes;  // [heads] or null
  const PassRow* rows;
  int first_kv_head;  // of the grid
  float* scratch;     // [rows, heads, chunks, head_dim + 2], the last two: total and largest score
  int chunks;         // the most that a row sees
  HeadPages pages;

  __device__ __forceinline__ float* ScratchOf(std::int64_t row, int head, int chunk) const {
    return scratch + ((row * heads + head) * chunks + chunk) * (pages.head_dim + 2);
  }
};

// The heads of one block, and what its row sees.
struct HeadTile {
  PassRow row;
  int kv_head;
  int first_head;
  int heads;
  std::int64_t begin;  // of the visible positions
  std::int64_t end;

  __device__ __forceinline__ std::int64_t FirstChunk() const { return begin / exact::kChunk; }
  __device__ __forceinline__ std::int64_t EndChunk() const {
    return (end + exact::kChunk - 1) / exact::kChunk;
  }
};

template <int kQueries>
__device__ __forceinline__ HeadTile TileOf(const AttentionCall& call) {
  const int group = call.heads / call.pages.kv_heads;
  const int tiles = (group + kQueries - 1) / kQueries;
  const int tile = static_cast<int>(blockIdx.z) % tiles;
  HeadTile heads;
  heads.row = call.rows[blockIdx.x];
  heads.kv_head = call.first_kv_head + static_cast<int>(blockIdx.z) / tiles;
  heads.first_head = heads.kv_head * group + tile * kQueries;
  heads.heads = Smaller(kQueries, group - tile * kQueries);
  heads.end = heads.row.position + 1;
  heads.begin = call.window > 0 && heads.end > call.window ? heads.end - call.window : 0;
  return heads;
}

// Queries as they are multiplied with keys of a format.
template <KvFormat kFormat, int kQueries>
struct Queries {
  float number[kQueries][kMaxHeadDim];
};
template <int kQueries>
struct Queries<KvFormat::kQ8, kQueries> {
  alignas(16) std::int8_t code[kQueries][kMaxHeadDim];
  float scale[kQueries][kMaxHeadDim / kGroup];
};

template <KvFormat kFormat, int kQueries>
struct AttentionShared {
  Queries<kFormat, kQueries> queries;
  float weight[kQueries][exact::kChunk + 1];  // one more: heads then lie in different banks
  float largest_of_warp[kQueries][kAttentionWarps];
  float total[kQueries];  // of the chunk
  float merged_total[kQueries];
  float keep[kQueries];
  float take[kQueries];
};

// What a thread sums of the values: four dims of one head, for each of kUnits pairs of these.
template <int kQueries>
inline constexpr int kUnits =
    (kQueries * kMaxHeadDim / 4 + kAttentionThreads - 1) / kAttentionThreads;

template <KvFormat kFormat, int kQueries>
__device__ __forceinline__ void LoadQueries(const AttentionCall& call, const HeadTile& heads,
                                            Queries<kFormat, kQueries>& queries) {
  const int groups = call.pages.groups();
  const int head_dim = call.pages.head_dim;
  for (int i = WarpOfBlock(); i < heads.heads * groups; i += kAttentionWarps) {
    const int head = i / groups;
    const int dim = i % groups * kGroup + Lane();
    const float* of_head = call.query + heads.row.row * call.query_stride +
                           std::int64_t{heads.first_head + head} * head_dim;
    const float x = dim < head_dim ? of_head[dim] : 0.0f;
    if constexpr (kFormat == KvFormat::kQ8) {
      const QuantisedLane lane = QuantiseGroup(x);
      queries.code[head][dim] = static_cast<std::int8_t>(lane.code);
      if (Lane() == 0) queries.scale[head][i % groups] = lane.scale;
    } else {
      queries.number[head][dim] = kFormat == KvFormat::kBf16 ? FloatFromBf16(Bf16FromFloat(x)) : x;
    }
  }
}

// scores[head] of one position, before its scale.
template <int kQueries>
__device__ __forceinline__ void DotPosition(const std::uint8_t* page, int place,
                                            const HeadPages& pages, int heads,
                                            const Queries<KvFormat::kQ8, kQueries>& queries,
                                            float (&scores)[kQueries]) {
  constexpr unsigned kToSigned = 0x80808080u;
  for (int group = 0; group < pages.groups(); ++group) {
    int key[kGroup / 4];
#pragma unroll
    for (int i = 0; i < kGroup / 4; ++i) {
      key[i] = static_cast<int>(Load4(page + pages.Key(place, group * kGroup + 4 * i)) ^ kToSigned);
    }
    const float key_scale = LoadBf16(page + pages.KeyScale(place, group));
#pragma unroll
    for (int q = 0; q < kQueries; ++q) {
      if (q >= heads) break;
      int dot = 0;
#pragma unroll
      for (int i = 0; i < kGroup / 4; ++i) {
        const std::uint32_t codes = Load4(&queries.code[q][group * kGroup + 4 * i]);
        dot = __dp4a(key[i], static_cast<int>(codes), dot);
      }
      const float scale = __fmul_rn(key_scale, queries.scale[q][group]);
      scores[q] = __fmaf_rn(static_cast<float>(dot), scale, scores[q]);
    }
  }
}

template <KvFormat kFormat, int kQueries>
__device__ __forceinline__ void DotPosition(const std::uint8_t* page, int place,
                                            const HeadPages& pages, int heads,
                                            const Queries<kFormat, kQueries>& queries,
                                            float (&scores)[kQueries]) {
  using Pages = NumberPages<kFormat>;
  const auto add = [&](std::uint32_t word, int dim) {
#pragma unroll
    for (int half = 0; half < Pages::kKeyDims; ++half) {
      const float key = Pages::NumberOf(word, half);
#pragma unroll
      for (int q = 0; q < kQueries; ++q) {
        if (q >= heads) break;
        scores[q] = __fmaf_rn(key, queries.number[q][dim + half], scores[q]);
      }
    }
  };
  constexpr int kTogether = 16;  // words that are on their way at once
  int dim = 0;
#pragma unroll 1
  for (; dim + kTogether * Pages::kKeyDims <= pages.head_dim; dim += kTogether * Pages::kKeyDims) {
    std::uint32_t words[kTogether];
#pragma unroll
    for (int i = 0; i < kTogether; ++i) {
      words[i] = Load4(page + Pages::Key(place, dim + i * Pages::kKeyDims));
    }
#pragma unroll
    for (int i = 0; i < kTogether; ++i) add(words[i], dim + i * Pages::kKeyDims);
  }
#pragma unroll 1
  for (; dim < pages.head_dim; dim += Pages::kKeyDims) {
    add(Load4(page + Pages::Key(place, dim)), dim);
  }
}

__device__ __forceinline__ float FinishScore(const AttentionCall& call, float sum, int head,
                                             std::int64_t distance) {
  float score = __fmul_rn(sum, call.scale);
  if (call.soft_cap > 0) {
    score = __fmul_rn(call.soft_cap, exact::Tanh(__fdiv_rn(score, call.soft_cap)));
  }
  if (call.slopes) score = __fmaf_rn(call.slopes[head], static_cast<float>(distance), score);
  return score;
}

// The largest of the block's scores of each head; a NaN is none.
template <KvFormat kFormat, int kQueries>
__device__ __forceinline__ void LargestScores(const float (&scores)[kQueries], int heads,
                                              AttentionShared<kFormat, kQueries>& shared,
                                              float (&largest)[kQueries]) {
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    if (q >= heads) break;
    float most = exact::Max(scores[q], kLowest);
    for (int other = kWarp / 2; other > 0; other /= 2) {
      most = exact::Max(__shfl_xor_sync(kAllLanes, most, other), most);
    }
    if (Lane() == 0) shared.largest_of_warp[q][WarpOfBlock()] = most;
  }
  __syncthreads();
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    if (q >= heads) break;
    largest[q] = kLowest;
    for (int warp = 0; warp < kAttentionWarps; ++warp) {
      largest[q] = exact::Max(shared.largest_of_warp[q][warp], largest[q]);
    }
  }
}

// shared.weight of a chunk's positions, and shared.total. What comes next must wait for the block.
template <KvFormat kFormat, int kQueries>
__device__ __forceinline__ void WeighChunk(const AttentionCall& call, const HeadTile& heads,
                                           std::int64_t chunk,
                                           AttentionShared<kFormat, kQueries>& shared,
                                           float (&largest)[kQueries]) {
  const std::int64_t t = chunk * exact::kChunk + threadIdx.x;
  const bool visible = t >= heads.begin && t < heads.end;
  float scores[kQueries] = {};
  if (visible) {
    const std::uint8_t* page = call.pages.At(heads.row.pages[t / kPagePositions], heads.kv_head);
    DotPosition(page, static_cast<int>(t % kPagePositions), call.pages, heads.heads, shared.queries,
                scores);
  }
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    if (q >= heads.heads) break;
    scores[q] = visible ? FinishScore(call, scores[q], heads.first_head + q, t - heads.row.position)
                        : kLowest;
  }
  LargestScores(scores, heads.heads, shared, largest);
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    if (q >= heads.heads) break;
    shared.weight[q][threadIdx.x] = visible ? exact::Exp(__fsub_rn(scores[q], largest[q])) : 0.0f;
  }
  __syncthreads();
  for (int q = WarpOfBlock(); q < heads.heads; q += kAttentionWarps) {
    const int lane = Lane() % kPagePositions;
    float total = 0;
    for (int i = lane; i < exact::kChunk; i += kPagePositions) {
      total = __fadd_rn(total, shared.weight[q][i]);
    }
    for (int half = kPagePositions / 2; half > 0; half /= 2) {
      total = __fadd_rn(total, __shfl_down_sync(kAllLanes, total, half));
    }
    if (Lane() == 0) shared.total[q] = total;
  }
}

struct Unit {
  int head;  // of the tile
  int dim;
  bool inside;
};

__device__ __forceinline__ Unit UnitOf(int i, const HeadTile& heads, int head_dim) {
  const int quads = head_dim / 4;
  const int unit = static_cast<int>(threadIdx.x) + i * kAttentionThreads;
  return {unit / quads, unit % quads * 4, unit / quads < heads.heads};
}

// The chunk's weighted values.
template <KvFormat kFormat, int kQueries>
__device__ __forceinline__ FourDims SumValues(const AttentionCall& call, const HeadTile& heads,
                                              std::int64_t chunk, const Unit& unit,
                                              const AttentionShared<kFormat, kQueries>& shared) {
  const std::int64_t first = chunk * exact::kChunk;
  const std::int64_t begin = heads.begin > first ? heads.begin : first;
  const std::int64_t end = Smaller(heads.end, first + exact::kChunk);
  const HeadValues values = {call.pages, heads.row.pages, heads.kv_head, unit.dim};
  return SumOfValues<kFormat>(values, begin, end, &shared.weight[unit.head][begin - first]);
}

// How much of what was merged stays, and how much of a chunk joins it.
struct Shares {
  float largest;
  float keep;
  float take;
};

__device__ __forceinline__ Shares SharesOf(float merged_largest, float chunk_largest) {
  const float largest = exact::Max(chunk_largest, merged_largest);
  return {largest, exact::Exp(__fsub_rn(merged_largest, largest)),
          exact::Exp(__fsub_rn(chunk_largest, largest))};
}

__device__ __forceinline__ float Merged(float merged, float of_chunk, float keep, float take) {
  return __fmaf_rn(of_chunk, take, __fmul_rn(merged, keep));
}

}  // namespace fallow::cuda
