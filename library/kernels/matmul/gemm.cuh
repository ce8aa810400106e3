// Products of quantised weights with many rows of activations on a GPU's tensor cores. Definition
// and shapes: matmul.h; the bits of exact.cc. Has not run on a device.
//
// A group of 32 k is one mma.m16n8k32, whose sums of int8 are exact; what comes after it is one Fma
// a number and group, in order, as everywhere in the class.
//   GemmKernel<type>   grid (tiles of 64 rows, tiles of 4 panels), block 128: a warp takes 32 rows
//                      and 2 panels
//     Rows go through shared memory, 64 k ahead of use; weights are read by two warps each, from
//     the cache the second time. A number and group: 32 multiply-adds by the tensor cores, 4
//     operations by others, which set the pace.
#pragma once

#include "kernels/cuda/portable.cuh"
#include "kernels/exact_math.h"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/panel_codes.cuh"

namespace fallow::cuda {

inline constexpr int kGemmRows = 64;
inline constexpr int kGemmPanels = 4;
inline constexpr int kGemmThreads = 128;
inline constexpr int kRowTiles = 2;     // of 16 rows, of a warp
inline constexpr int kColumnTiles = 4;  // of 8 columns, of a warp

struct GemmShared {
  // 16 bytes more than a block: rows then lie in different banks.
  alignas(16) std::int8_t codes[2][kGemmRows][kBlockK + 16];
};

// What a lane has of a warp's tile, as mma leaves it: numbers 2 i and 2 i + 1 are of row
// lane / 4 + 8 i, in columns 2 (lane % 4) and the next.
struct WarpTile {
  float at[kRowTiles][kColumnTiles][4] = {};
};

// Where a block and a lane of it are.
struct GemmPlace {
  std::int64_t first_row;  // of the block
  int row;                 // of the lane's first numbers, in the block
  std::int64_t panel;      // the warp's first

  // Of tile t; the second half of its numbers lies 8 further on.
  __device__ __forceinline__ int RowOf(int t) const { return row + 16 * t; }
};

__device__ __forceinline__ GemmPlace GemmPlaceOf(Range panels) {
  return {.first_row = std::int64_t{blockIdx.x} * kGemmRows,
          .row = WarpOfBlock() / 2 * 32 + Lane() / 4,
          .panel = panels.begin + std::int64_t{blockIdx.y} * kGemmPanels + WarpOfBlock() % 2 * 2};
}

// Begins to copy 64 k of the block's rows; zeros beyond the last row.
__device__ __forceinline__ void CopyRows(const Activations& x, std::int64_t first_row,
                                         std::int64_t block, GemmShared& shared) {
  for (int i = static_cast<int>(threadIdx.x); i < kGemmRows * kBlockK / 16; i += kGemmThreads) {
    const int row = i / (kBlockK / 16);
    const int k = i % (kBlockK / 16) * 16;
    const bool valid = first_row + row < x.rows;
    const std::int64_t from = valid ? first_row + row : 0;
    CopyAsync16(&shared.codes[block % 2][row][k], x.codes + from * x.k + block * kBlockK + k,
                valid);
  }
}

// What a lane needs of its rows for one group.
struct GroupOfRows {
  std::uint32_t codes[kRowTiles][4];
  float scale[kRowTiles][2];
  float scaled_sum[kRowTiles][2];
  std::int32_t start[kRowTiles][2];  // exact::kRounderBits, less what zero points add
};

template <WeightType kType>
__device__ __forceinline__ GroupOfRows LoadRows(const Activations& x, const GemmPlace& place,
                                                std::int64_t group, const GemmShared& shared) {
  const std::int64_t groups = x.k / kGroup;
  const int buffer = static_cast<int>(group / 2 % 2);
  const int k = static_cast<int>(group % 2) * kGroup + Lane() % 4 * 4;
  GroupOfRows rows;
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = place.RowOf(t) + 8 * half;
      rows.codes[t][half] = Load4(&shared.codes[buffer][row][k]);
      rows.codes[t][half + 2] = Load4(&shared.codes[buffer][row][k + 16]);
      const std::int64_t at =
          Smaller<std::int64_t>(place.first_row + row, x.rows - 1) * groups + group;
      rows.scale[t][half] = x.scale[at];
      rows.scaled_sum[t][half] = kType == WeightType::kQ4_1 ? x.scaled_sum[at] : 0.0f;
      rows.start[t][half] = exact::kRounderBits;
      if (kType == WeightType::kQ4_0) {
        rows.start[t][half] -= PanelPlaces<kType>::kZero * x.sum[at];
      }
    }
  }
  return rows;
}

// Adds a group's products to column tile n.
//   block   of the panel that the tile is half of
template <WeightType kType>
__device__ __forceinline__ void AddGroup(const std::uint8_t* block, int half_of_block, int n,
                                         const GroupOfRows& rows, WarpTile& sums) {
  using Places = PanelPlaces<kType>;
  const std::uint8_t* codes =
      block + Places::kHeader + half_of_block * Places::kCodes + (n % 2 * 8 + Lane() / 4) * 4;
  const std::uint32_t weights[2] = {LoadFour<kType>(codes, Lane() % 4),
                                    LoadFour<kType>(codes, Lane() % 4 + 4)};
  const auto* scales = reinterpret_cast<const std::uint16_t*>(block) + half_of_block * kPanelRows +
                       n % 2 * 8 + Lane() % 4 * 2;
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
    std::int32_t dots[4] = {rows.start[t][0], rows.start[t][0], rows.start[t][1], rows.start[t][1]};
    MultiplyAddInt8(dots, rows.codes[t], weights);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float& sum = sums.at[t][n][i];
      const float dot = __fsub_rn(__uint_as_float(static_cast<unsigned>(dots[i])), exact::kRounder);
      const float scale = FloatFromFp16(scales[i % 2]);
      sum = __fmaf_rn(dot, __fmul_rn(scale, rows.scale[t][i / 2]), sum);
      if (kType == WeightType::kQ4_1) {
        const float minimum = FloatFromFp16(scales[kSliceBytes / 2 + i % 2]);
        sum = __fmaf_rn(minimum, rows.scaled_sum[t][i / 2], sum);
      }
    }
  }
}

__device__ __forceinline__ void EndSegment(WarpTile& sums, WarpTile& totals) {
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int n = 0; n < kColumnTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        totals.at[t][n][i] = __fadd_rn(totals.at[t][n][i], sums.at[t][n][i]);
        sums.at[t][n][i] = 0;
      }
    }
  }
}

__device__ __forceinline__ void StoreTile(const MatmulArgs& args, const GemmPlace& place,
                                          std::int64_t end, const WarpTile& totals) {
#pragma unroll
  for (int t = 0; t < kRowTiles; ++t) {
#pragma unroll
    for (int n = 0; n < kColumnTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const std::int64_t row = place.first_row + place.RowOf(t) + i / 2 * 8;
        const std::int64_t column = place.panel * kPanelRows + n * 8 + Lane() % 4 * 2 + i % 2;
        if (row >= args.x.rows || column >= end) continue;
        float total = totals.at[t][n][i];
        if (args.bias) total = __fadd_rn(total, args.bias[column]);
        float& y = args.y[row * args.stride + column];
        y = args.add ? __fadd_rn(y, total) : total;
      }
    }
  }
}

template <WeightType kType>
__global__ void __launch_bounds__(kGemmThreads, 3)
    GemmKernel(MatmulArgs args, Range panels, std::int64_t panel_bytes) {
  using Places = PanelPlaces<kType>;
  auto& shared = SharedStorage<GemmShared>();
  const GemmPlace place = GemmPlaceOf(panels);
  const std::int64_t blocks = args.x.k / kBlockK;
  constexpr std::int64_t kSegmentBlocks = exact::kSegmentGroups / 2;
  WarpTile sums, totals;
  CopyRows(args.x, place.first_row, 0, shared);
  CommitCopies();
  for (std::int64_t block = 0; block < blocks; ++block) {
    if (block + 1 < blocks) CopyRows(args.x, place.first_row, block + 1, shared);
    CommitCopies();
    WaitForCopies<1>();
    __syncthreads();
#pragma unroll 1
    for (int half = 0; half < 2; ++half) {
      const GroupOfRows rows = LoadRows<kType>(args.x, place, 2 * block + half, shared);
#pragma unroll
      for (int n = 0; n < kColumnTiles; ++n) {
        // Beyond the last panel it is read again, and not stored.
        const std::int64_t panel = Smaller(place.panel + n / 2, panels.end - 1);
        const std::uint8_t* at = args.weight.data + panel * panel_bytes + block * Places::kBlock;
        AddGroup<kType>(at, half, n, rows, sums);
      }
    }
    if ((block + 1) % kSegmentBlocks == 0 || block + 1 == blocks) EndSegment(sums, totals);
    __syncthreads();  // the buffer is copied to again
  }
  StoreTile(args, place, Smaller(panels.end * kPanelRows, args.weight.rows), totals);
}

inline LaunchShape GemmShape(const MatmulArgs& args, Range panels, std::size_t shared_bytes,
                             cudaStream_t stream) {
  const std::int64_t rows = (args.x.rows + kGemmRows - 1) / kGemmRows;
  const std::int64_t columns = (panels.end - panels.begin + kGemmPanels - 1) / kGemmPanels;
  return {.grid = {static_cast<unsigned>(rows), static_cast<unsigned>(columns)},
          .block = kGemmThreads,
          .shared_bytes = shared_bytes,
          .stream = stream};
}

template <WeightType kType>
cudaError_t LaunchGemmOf(const MatmulArgs& args, Range panels, cudaStream_t stream) {
  return Launch(GemmKernel<kType>, GemmShape(args, panels, sizeof(GemmShared), stream), args,
                panels, PanelBytes(kType, args.weight.cols));
}

// For quantised weights.
inline cudaError_t LaunchGemm(const MatmulArgs& args, Range panels, cudaStream_t stream = nullptr) {
  if (panels.begin == panels.end || args.x.rows == 0) return cudaSuccess;
  switch (args.weight.type) {
    case WeightType::kQ8:
      return LaunchGemmOf<WeightType::kQ8>(args, panels, stream);
    case WeightType::kQ4_0:
      return LaunchGemmOf<WeightType::kQ4_0>(args, panels, stream);
    case WeightType::kQ4_1:
      return LaunchGemmOf<WeightType::kQ4_1>(args, panels, stream);
    case WeightType::kNl4:
      return LaunchGemmOf<WeightType::kNl4>(args, panels, stream);
    default:
      return cudaErrorInvalidConfiguration;
  }
}

}  // namespace fallow::cuda
