// Products of quantised weights with one or two rows of activations on a GPU. Definition and
// shapes: matmul.h; the bits of exact.cc, from the panels as the CPU packs them. Has not run on a
// device.
//
// A lane is an output row, so a warp reads two panels, 64 bytes of each at a time; a warp takes a
// segment of 16 groups of k, and the block's sums of segments are added in order.
//   SkinnyProductKernel<type, kRows>   grid (pairs of panels, tiles of kRows of x), block 256
//     a weight: 1.06 bytes (q8), 0.56 (q4_0, nl4) or 0.63 (q4_1), read once a tile; activations are
//     read by all lanes at once. 2 operations a weight and row, 4 codes an instruction.
#pragma once

#include "kernels/cuda/portable.cuh"
#include "kernels/exact_math.h"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/panel_codes.cuh"

namespace fallow::cuda {

inline constexpr int kSegmentsAtOnce = 8;  // warps of a block
inline constexpr int kPanelsAtOnce = kWarp / kPanelRows;
inline constexpr int kMostSkinnyRows = 2;  // each has a warp that adds its segments

// A few consecutive rows of the activations. A row beyond them is the last one again.
struct RowTile {
  const std::int8_t* codes;
  const float* scale;
  const std::int32_t* sum;
  const float* scaled_sum;
  int count;
  int groups;  // of a row

  // Number of a row's group in the arrays above.
  __device__ __forceinline__ int At(int m, int group) const {
    return Smaller(m, count - 1) * groups + group;
  }
};

__device__ __forceinline__ RowTile TileOf(const Activations& x, std::int64_t first, int most) {
  const int groups = static_cast<int>(x.k / kGroup);
  return {.codes = x.codes + first * x.k,
          .scale = x.scale + first * groups,
          .sum = x.sum + first * groups,
          .scaled_sum = x.scaled_sum + first * groups,
          .count = static_cast<int>(Smaller<std::int64_t>(most, x.rows - first)),
          .groups = groups};
}

// What is read of a row besides its codes, for the two groups of a block: at once, since each read
// costs a sector.
struct PairOfGroups {
  float scale[2];
  float scaled_sum[2];
  std::int32_t start[2];  // exact::kRounderBits, less what zero points add
};

// Of a group of the pair; no index, so it stays in registers.
template <typename T>
__device__ __forceinline__ T Half(const T (&pair)[2], int half) {
  return half == 0 ? pair[0] : pair[1];
}

// `group` is even.
template <WeightType kType>
__device__ __forceinline__ PairOfGroups LoadPair(const RowTile& x, int m, int group) {
  PairOfGroups pair = {{}, {}, {exact::kRounderBits, exact::kRounderBits}};
  const int at = x.At(m, group);
  const uint2 scale = Load8(x.scale + at);
  pair.scale[0] = __uint_as_float(scale.x);
  pair.scale[1] = __uint_as_float(scale.y);
  if (kType == WeightType::kQ4_1) {
    const uint2 sums = Load8(x.scaled_sum + at);
    pair.scaled_sum[0] = __uint_as_float(sums.x);
    pair.scaled_sum[1] = __uint_as_float(sums.y);
  }
  if (kType == WeightType::kQ4_0) {
    const uint2 sums = Load8(x.sum + at);
    pair.start[0] -= PanelPlaces<kType>::kZero * static_cast<std::int32_t>(sums.x);
    pair.start[1] -= PanelPlaces<kType>::kZero * static_cast<std::int32_t>(sums.y);
  }
  return pair;
}

// dots[m] += the group's dot product with row m.
template <WeightType kType, int kRows>
__device__ __forceinline__ void DotGroup(const std::uint8_t* codes, const RowTile& x, int group,
                                         int (&dots)[kRows]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const EightCodes low = LoadEight<kType>(codes, 2 * half);
    const EightCodes high = LoadEight<kType>(codes, 2 * half + 1);
#pragma unroll
    for (int m = 0; m < kRows; ++m) {
      const uint4 row = Load16(x.codes + x.At(m, group) * kGroup + 16 * half);
      dots[m] = __dp4a(low.first, static_cast<int>(row.x), dots[m]);
      dots[m] = __dp4a(low.second, static_cast<int>(row.y), dots[m]);
      dots[m] = __dp4a(high.first, static_cast<int>(row.z), dots[m]);
      dots[m] = __dp4a(high.second, static_cast<int>(row.w), dots[m]);
    }
  }
}

// sums[m] = the segment's sum for row m, groups in order.
//   panel   of the lane's row, which is its `row_of_panel`-th
template <WeightType kType, int kRows>
__device__ __forceinline__ void SumSegment(const std::uint8_t* panel, int row_of_panel,
                                           const RowTile& x, int segment, float (&sums)[kRows]) {
  using Places = PanelPlaces<kType>;
  const int begin = segment * exact::kSegmentGroups;
  const int end = Smaller(begin + exact::kSegmentGroups, x.groups);
#pragma unroll
  for (int m = 0; m < kRows; ++m) sums[m] = 0;
#pragma unroll 1
  for (int group = begin; group < end; group += 2) {
    const std::uint8_t* block = panel + std::int64_t{group / 2} * Places::kBlock;
    PairOfGroups pairs[kRows];
#pragma unroll
    for (int m = 0; m < kRows; ++m) pairs[m] = LoadPair<kType>(x, m, group);
#pragma unroll(kRows == 1 ? 2 : 1)  // two rows need the registers
    for (int half = 0; half < 2; ++half) {
      const auto* scales = reinterpret_cast<const std::uint16_t*>(block) + half * kPanelRows;
      int dots[kRows];
#pragma unroll
      for (int m = 0; m < kRows; ++m) dots[m] = Half(pairs[m].start, half);
      DotGroup<kType>(block + Places::kHeader + half * Places::kCodes + 4 * row_of_panel, x,
                      group + half, dots);
      const float scale = FloatFromFp16(scales[row_of_panel]);
      float minimum = 0;
      if (kType == WeightType::kQ4_1) {
        minimum = FloatFromFp16(scales[kSliceBytes / 2 + row_of_panel]);
      }
#pragma unroll
      for (int m = 0; m < kRows; ++m) {
        // As bits it is a float, from which the rounder is to be taken.
        const auto bits = static_cast<unsigned>(dots[m]);
        const float dot = __fsub_rn(__uint_as_float(bits), exact::kRounder);
        sums[m] = __fmaf_rn(dot, __fmul_rn(scale, Half(pairs[m].scale, half)), sums[m]);
        if (kType == WeightType::kQ4_1) {
          sums[m] = __fmaf_rn(minimum, Half(pairs[m].scaled_sum, half), sums[m]);
        }
      }
    }
  }
}

template <int kRows>
struct SkinnyProductShared {
  float sums[kSegmentsAtOnce][kRows][kWarp];
};

// Said to be one block a multiprocessor, though more fit: else the compiler saves registers, and
// loads little ahead.
template <WeightType kType, int kRows>
__global__ void __launch_bounds__(kSegmentsAtOnce* kWarp, 1)
    SkinnyProductKernel(MatmulArgs args, Range panels, std::int64_t panel_bytes) {
  auto& shared = SharedStorage<SkinnyProductShared<kRows>>();
  const int lane = Lane();
  const int warp = WarpOfBlock();
  const std::int64_t first = panels.begin + std::int64_t{blockIdx.x} * kPanelsAtOnce;
  const std::int64_t n = first * kPanelRows + lane;
  const std::int64_t end = Smaller(panels.end * kPanelRows, args.weight.rows);
  // Lanes beyond the end read the last panel too.
  const std::uint8_t* panel = args.weight.data + Smaller(n, end - 1) / kPanelRows * panel_bytes;
  const std::int64_t first_row = std::int64_t{blockIdx.y} * kRows;
  const RowTile x = TileOf(args.x, first_row, kRows);
  const int segments = (x.groups + exact::kSegmentGroups - 1) / exact::kSegmentGroups;
  float total = 0;  // of row `warp`
  for (int begin = 0; begin < segments; begin += kSegmentsAtOnce) {
    if (begin + warp < segments) {
      float sums[kRows];
      SumSegment<kType>(panel, lane % kPanelRows, x, begin + warp, sums);
#pragma unroll
      for (int m = 0; m < kRows; ++m) shared.sums[warp][m][lane] = sums[m];
    }
    __syncthreads();
    const int count = Smaller(kSegmentsAtOnce, segments - begin);
    for (int i = 0; warp < kRows && i < count; ++i) {
      total = __fadd_rn(total, shared.sums[i][warp][lane]);
    }
    __syncthreads();
  }
  if (warp >= x.count || n >= end) return;
  if (args.bias) total = __fadd_rn(total, args.bias[n]);
  float& y = args.y[(first_row + warp) * args.stride + n];
  y = args.add ? __fadd_rn(y, total) : total;
}

template <WeightType kType, int kRows>
cudaError_t LaunchSkinnyProductOf(const MatmulArgs& args, Range panels, cudaStream_t stream) {
  const std::int64_t pairs = (panels.end - panels.begin + kPanelsAtOnce - 1) / kPanelsAtOnce;
  const std::int64_t tiles = (args.x.rows + kRows - 1) / kRows;
  return Launch(SkinnyProductKernel<kType, kRows>,
                {.grid = {static_cast<unsigned>(pairs), static_cast<unsigned>(tiles)},
                 .block = kSegmentsAtOnce * kWarp,
                 .shared_bytes = sizeof(SkinnyProductShared<kRows>),
                 .stream = stream},
                args, panels, PanelBytes(kType, args.weight.cols));
}

template <WeightType kType>
cudaError_t LaunchSkinnyProductOf(const MatmulArgs& args, Range panels, cudaStream_t stream) {
  if (args.x.rows == 1) return LaunchSkinnyProductOf<kType, 1>(args, panels, stream);
  return LaunchSkinnyProductOf<kType, kMostSkinnyRows>(args, panels, stream);
}

// For quantised weights. Weights are read once for every kMostSkinnyRows rows of x.
inline cudaError_t LaunchSkinnyProduct(const MatmulArgs& args, Range panels,
                                       cudaStream_t stream = nullptr) {
  if (panels.begin == panels.end || args.x.rows == 0) return cudaSuccess;
  switch (args.weight.type) {
    case WeightType::kQ8:
      return LaunchSkinnyProductOf<WeightType::kQ8>(args, panels, stream);
    case WeightType::kQ4_0:
      return LaunchSkinnyProductOf<WeightType::kQ4_0>(args, panels, stream);
    case WeightType::kQ4_1:
      return LaunchSkinnyProductOf<WeightType::kQ4_1>(args, panels, stream);
    case WeightType::kNl4:
      return LaunchSkinnyProductOf<WeightType::kNl4>(args, panels, stream);
    default:
      return cudaErrorInvalidConfiguration;
  }
}

}  // namespace fallow::cuda
