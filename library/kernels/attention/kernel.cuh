// Attention over pages on a GPU. Definition and shapes: attention.h; over kQ8 the bits of exact.cc,
// over others the same order. Has not run on a device.
//
// A block of 128 threads takes a row and up to kQueries heads that read one kv head. Of a chunk of
// 128 positions a thread first is one, for its score with each head; then it is four dims of a
// head, for the sum of the values in order of positions.
//   AttentionKernel   grid (rows, 1, tiles of heads): chunks one after the other
//   ChunkKernel       grid (rows, chunks, tiles of heads): each chunk by a block, to scratch
//   MergeKernel       grid (rows, 1, heads): what ChunkKernel left, in order of chunks
// A position: 2.13 bytes a dim (kBf16 4, kFp32 8), read once a tile of heads; 4 operations a dim
// and head.
#pragma once

#include "kernels/attention/chunk.cuh"
#include "kernels/cuda/attention_split.h"

namespace fallow::cuda {

template <KvFormat kFormat, int kQueries>
static __global__ void __launch_bounds__(kAttentionThreads, kQueries > 4 ? 4 : 5)
    AttentionKernel(AttentionCall call) {
  auto& shared = SharedStorage<AttentionShared<kFormat, kQueries>>();
  const HeadTile heads = TileOf<kQueries>(call);
  if (!heads.row.pages) return;
  const int thread = static_cast<int>(threadIdx.x);
  const int head_dim = call.pages.head_dim;
  LoadQueries(call, heads, shared.queries);
  float merged_largest = kLowest;  // of head `thread`
  float merged_total = 0;
  FourDims merged[kUnits<kQueries>];
  __syncthreads();
  for (std::int64_t chunk = heads.FirstChunk(); chunk < heads.EndChunk(); ++chunk) {
    float largest[kQueries] = {};
    WeighChunk(call, heads, chunk, shared, largest);
    FourDims sums[kUnits<kQueries>];
#pragma unroll
    for (int i = 0; i < kUnits<kQueries>; ++i) {
      const Unit unit = UnitOf(i, heads, head_dim);
      if (unit.inside) sums[i] = SumValues(call, heads, chunk, unit, shared);
    }
    __syncthreads();
#pragma unroll
    for (int q = 0; q < kQueries; ++q) {
      if (q != thread || q >= heads.heads) continue;
      const Shares shares = SharesOf(merged_largest, largest[q]);
      merged_largest = shares.largest;
      merged_total = Merged(merged_total, shared.total[q], shares.keep, shares.take);
      shared.keep[q] = shares.keep;
      shared.take[q] = shares.take;
      shared.merged_total[q] = merged_total;
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kUnits<kQueries>; ++i) {
      const Unit unit = UnitOf(i, heads, head_dim);
      if (!unit.inside) continue;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        merged[i].at[j] =
            Merged(merged[i].at[j], sums[i].at[j], shared.keep[unit.head], shared.take[unit.head]);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kUnits<kQueries>; ++i) {
    const Unit unit = UnitOf(i, heads, head_dim);
    if (!unit.inside) continue;
    const float inverse = __fdiv_rn(1.0f, shared.merged_total[unit.head]);
    float* out = call.out + heads.row.row * call.out_stride +
                 std::int64_t{heads.first_head + unit.head} * head_dim + unit.dim;
#pragma unroll
    for (int j = 0; j < 4; ++j) out[j] = __fmul_rn(merged[i].at[j], inverse);
  }
}

template <KvFormat kFormat, int kQueries>
static __global__ void __launch_bounds__(kAttentionThreads, 5) ChunkKernel(AttentionCall call) {
  auto& shared = SharedStorage<AttentionShared<kFormat, kQueries>>();
  const HeadTile heads = TileOf<kQueries>(call);
  if (!heads.row.pages) return;
  const std::int64_t chunk = heads.FirstChunk() + blockIdx.y;
  if (chunk >= heads.EndChunk()) return;
  const int thread = static_cast<int>(threadIdx.x);
  const int number = static_cast<int>(blockIdx.y);
  const int head_dim = call.pages.head_dim;
  LoadQueries(call, heads, shared.queries);
  __syncthreads();
  float largest[kQueries] = {};
  WeighChunk(call, heads, chunk, shared, largest);
#pragma unroll
  for (int i = 0; i < kUnits<kQueries>; ++i) {
    const Unit unit = UnitOf(i, heads, head_dim);
    if (!unit.inside) continue;
    const FourDims sum = SumValues(call, heads, chunk, unit, shared);
    float* out = call.ScratchOf(blockIdx.x, heads.first_head + unit.head, number) + unit.dim;
#pragma unroll
    for (int j = 0; j < 4; ++j) out[j] = sum.at[j];
  }
  __syncthreads();
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    if (q != thread || q >= heads.heads) continue;
    float* out = call.ScratchOf(blockIdx.x, heads.first_head + q, number) + head_dim;
    out[0] = shared.total[q];
    out[1] = largest[q];
  }
}

static __global__ void __launch_bounds__(kMaxHeadDim) MergeKernel(AttentionCall call) {
  const HeadTile row = TileOf<1>(call);
  if (!row.row.pages) return;
  const int head_dim = call.pages.head_dim;
  const int dim = static_cast<int>(threadIdx.x);
  const int chunks = static_cast<int>(row.EndChunk() - row.FirstChunk());
  float largest = kLowest;
  float total = 0;
  float merged = 0;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const float* of_chunk = call.ScratchOf(blockIdx.x, row.first_head, chunk);
    const Shares shares = SharesOf(largest, of_chunk[head_dim + 1]);
    largest = shares.largest;
    total = Merged(total, of_chunk[head_dim], shares.keep, shares.take);
    merged = Merged(merged, of_chunk[dim], shares.keep, shares.take);
  }
  call.out[row.row.row * call.out_stride + std::int64_t{row.first_head} * head_dim + dim] =
      __fmul_rn(merged, __fdiv_rn(1.0f, total));
}

template <KvFormat kFormat, int kQueries>
cudaError_t LaunchAttentionOf(const AttentionCall& call, std::int64_t rows, int kv_heads,
                              cudaStream_t stream) {
  const int group = call.heads / call.pages.kv_heads;
  const auto x = static_cast<unsigned>(rows);
  const auto z = static_cast<unsigned>(kv_heads * TilesOf(group));
  const std::size_t shared_bytes = sizeof(AttentionShared<kFormat, kQueries>);
  if (!call.scratch) {
    return Launch(AttentionKernel<kFormat, kQueries>,
                  {.grid = {x, 1, z},
                   .block = kAttentionThreads,
                   .shared_bytes = shared_bytes,
                   .stream = stream},
                  call);
  }
  const cudaError_t error = Launch(ChunkKernel<kFormat, kQueries>,
                                   {.grid = {x, static_cast<unsigned>(call.chunks), z},
                                    .block = kAttentionThreads,
                                    .shared_bytes = shared_bytes,
                                    .stream = stream},
                                   call);
  if (error != cudaSuccess) return error;
  return Launch(MergeKernel,
                {.grid = {x, 1, static_cast<unsigned>(kv_heads * group)},
                 .block = static_cast<unsigned>(call.pages.head_dim),
                 .stream = stream},
                call);
}

template <KvFormat kFormat>
cudaError_t LaunchAttentionOf(const AttentionCall& call, std::int64_t rows, int kv_heads,
                              cudaStream_t stream) {
  const int group = call.heads / call.pages.kv_heads;
  switch (HeadsOfTile(group)) {
    case 1:
      return LaunchAttentionOf<kFormat, 1>(call, rows, kv_heads, stream);
    case 4:
      return LaunchAttentionOf<kFormat, 4>(call, rows, kv_heads, stream);
    default:
      return LaunchAttentionOf<kFormat, 8>(call, rows, kv_heads, stream);
  }
}

inline cudaError_t LaunchAttention(const AttentionArgs& args, const DeviceRows& rows,
                                   Range kv_heads, cudaStream_t stream = nullptr) {
  if (rows.count == 0 || kv_heads.begin == kv_heads.end) return cudaSuccess;
  const AttentionCall call = {.query = args.query,
                              .query_stride = args.query_stride,
                              .out = args.out,
                              .out_stride = args.out_stride,
                              .heads = args.heads,
                              .scale = args.scale,
                              .window = args.window,
                              .soft_cap = args.soft_cap,
                              .slopes = args.slopes,
                              .rows = rows.rows,
                              .first_kv_head = static_cast<int>(kv_heads.begin),
                              .scratch = rows.scratch,
                              .chunks = rows.chunks,
                              .pages = HeadPagesOf(args.kv)};
  const int count = static_cast<int>(kv_heads.end - kv_heads.begin);
  switch (args.kv.layout.format) {
    case KvFormat::kFp32:
      return LaunchAttentionOf<KvFormat::kFp32>(call, rows.count, count, stream);
    case KvFormat::kBf16:
      return LaunchAttentionOf<KvFormat::kBf16>(call, rows.count, count, stream);
    case KvFormat::kQ8:
      return LaunchAttentionOf<KvFormat::kQ8>(call, rows.count, count, stream);
  }
  return cudaErrorInvalidConfiguration;
}

}  // namespace fallow::cuda
