// Products of quantised weights with one row of activations on a GPU. Definition and shapes:
// matmul.h; the bits of exact.cc, from the panels as the CPU packs them. Has not run on a device.
//
// A lane is an output row, so a warp reads two panels, 64 bytes of each at a time; a warp takes a
// segment of 16 groups of k, and the block's sums of segments are added in order.
//   SkinnyProductKernel<type>   grid (pairs of panels), block 256
//     a weight: 1.06 bytes (q8), 0.56 (q4_0, nl4) or 0.63 (q4_1), read once; activations are read
//     by all lanes at once. 2 operations a weight, 4 codes an instruction.
#pragma once

#include "kernels/cuda/portable.cuh"
#include "kernels/exact_math.h"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/panel_codes.cuh"

namespace fallow::cuda {

inline constexpr int kSegmentsAtOnce = 8;  // warps of a block
inline constexpr int kPanelsAtOnce = kWarp / kPanelRows;

// What is read of x besides its codes, for the two groups of a block: at once, since each read
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
__device__ __forceinline__ PairOfGroups LoadPair(const Activations& x, int group) {
  PairOfGroups pair = {{}, {}, {exact::kRounderBits, exact::kRounderBits}};
  const uint2 scale = Load8(x.scale + group);
  pair.scale[0] = __uint_as_float(scale.x);
  pair.scale[1] = __uint_as_float(scale.y);
  if (kType == WeightType::kQ4_1) {
    const uint2 sums = Load8(x.scaled_sum + group);
    pair.scaled_sum[0] = __uint_as_float(sums.x);
    pair.scaled_sum[1] = __uint_as_float(sums.y);
  }
  if (kType == WeightType::kQ4_0) {
    const uint2 sums = Load8(x.sum + group);
    pair.start[0] -= PanelPlaces<kType>::kZero * static_cast<std::int32_t>(sums.x);
    pair.start[1] -= PanelPlaces<kType>::kZero * static_cast<std::int32_t>(sums.y);
  }
  return pair;
}

// dot + the group's dot product.
template <WeightType kType>
__device__ __forceinline__ int DotGroup(const std::uint8_t* codes, const Activations& x, int group,
                                        int dot) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const EightCodes low = LoadEight<kType>(codes, 2 * half);
    const EightCodes high = LoadEight<kType>(codes, 2 * half + 1);
    const uint4 row = Load16(x.codes + group * kGroup + 16 * half);
    dot = __dp4a(low.first, static_cast<int>(row.x), dot);
    dot = __dp4a(low.second, static_cast<int>(row.y), dot);
    dot = __dp4a(high.first, static_cast<int>(row.z), dot);
    dot = __dp4a(high.second, static_cast<int>(row.w), dot);
  }
  return dot;
}

// The segment's sum, groups in order.
//   panel   of the lane's row, which is its `row_of_panel`-th
template <WeightType kType>
__device__ __forceinline__ float SumSegment(const std::uint8_t* panel, int row_of_panel,
                                            const Activations& x, int segment) {
  using Places = PanelPlaces<kType>;
  const int begin = segment * exact::kSegmentGroups;
  const int end = Smaller(begin + exact::kSegmentGroups, static_cast<int>(x.k / kGroup));
  float sum = 0;
#pragma unroll 1
  for (int group = begin; group < end; group += 2) {
    const std::uint8_t* block = panel + std::int64_t{group / 2} * Places::kBlock;
    const PairOfGroups pair = LoadPair<kType>(x, group);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const auto* scales = reinterpret_cast<const std::uint16_t*>(block) + half * kPanelRows;
      const int bits =
          DotGroup<kType>(block + Places::kHeader + half * Places::kCodes + 4 * row_of_panel, x,
                          group + half, Half(pair.start, half));
      const float scale = FloatFromFp16(scales[row_of_panel]);
      // As bits it is a float, from which the rounder is to be taken.
      const float dot = __fsub_rn(__uint_as_float(static_cast<unsigned>(bits)), exact::kRounder);
      sum = __fmaf_rn(dot, __fmul_rn(scale, Half(pair.scale, half)), sum);
      if (kType == WeightType::kQ4_1) {
        const float minimum = FloatFromFp16(scales[kSliceBytes / 2 + row_of_panel]);
        sum = __fmaf_rn(minimum, Half(pair.scaled_sum, half), sum);
      }
    }
  }
  return sum;
}

struct SkinnyProductShared {
  float sums[kSegmentsAtOnce][kWarp];
};

// Said to be one block a multiprocessor, though more fit: else the compiler saves registers, and
// loads little ahead.
template <WeightType kType>
__global__ void __launch_bounds__(kSegmentsAtOnce* kWarp, 1)
    SkinnyProductKernel(MatmulArgs args, Range panels, std::int64_t panel_bytes) {
  auto& shared = SharedStorage<SkinnyProductShared>();
  const int lane = Lane();
  const int warp = WarpOfBlock();
  const std::int64_t first = panels.begin + std::int64_t{blockIdx.x} * kPanelsAtOnce;
  const std::int64_t n = first * kPanelRows + lane;
  const std::int64_t end = Smaller(panels.end * kPanelRows, args.weight.rows);
  // Lanes beyond the end read the last panel too.
  const std::uint8_t* panel = args.weight.data + Smaller(n, end - 1) / kPanelRows * panel_bytes;
  const int groups = static_cast<int>(args.x.k / kGroup);
  const int segments = (groups + exact::kSegmentGroups - 1) / exact::kSegmentGroups;
  float total = 0;  // of the first warp
  for (int begin = 0; begin < segments; begin += kSegmentsAtOnce) {
    if (begin + warp < segments) {
      shared.sums[warp][lane] = SumSegment<kType>(panel, lane % kPanelRows, args.x, begin + warp);
    }
    __syncthreads();
    const int count = Smaller(kSegmentsAtOnce, segments - begin);
    for (int i = 0; warp == 0 && i < count; ++i) total = __fadd_rn(total, shared.sums[i][lane]);
    __syncthreads();
  }
  if (warp > 0 || n >= end) return;
  if (args.bias) total = __fadd_rn(total, args.bias[n]);
  float& y = args.y[n];
  y = args.add ? __fadd_rn(y, total) : total;
}

template <WeightType kType>
cudaError_t LaunchSkinnyProductOf(const MatmulArgs& args, Range panels, cudaStream_t stream) {
  const std::int64_t pairs = (panels.end - panels.begin + kPanelsAtOnce - 1) / kPanelsAtOnce;
  return Launch(SkinnyProductKernel<kType>,
                {.grid = {static_cast<unsigned>(pairs)},
                 .block = kSegmentsAtOnce * kWarp,
                 .shared_bytes = sizeof(SkinnyProductShared),
                 .stream = stream},
                args, panels, PanelBytes(kType, args.weight.cols));
}

// For quantised weights and one row of x.
inline cudaError_t LaunchSkinnyProduct(const MatmulArgs& args, Range panels,
                                       cudaStream_t stream = nullptr) {
  if (panels.begin == panels.end) return cudaSuccess;
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
