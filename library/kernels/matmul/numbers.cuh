// Products of fp32 and bf16 weights on a GPU. Definition and shapes: matmul.h; the order of sums is
// free. Has not run on a device.
//
//   NumberProductKernel<type, kRows>   grid (panels, tiles of kRows of x), block 256: a warp reads
//                                      512 bytes of the panel at a time, a lane four rows of them
//     a weight: 4 or 2 bytes, read once a tile; 2 operations a weight and row
// Many rows of bf16: bf16_gemm.cuh.
#pragma once

#include "kernels/cuda/portable.cuh"
#include "kernels/matmul/bf16_gemm.cuh"
#include "kernels/matmul/matmul.h"

namespace fallow::cuda {

inline constexpr int kNumberThreads = 256;
inline constexpr int kNumberWarps = kNumberThreads / kWarp;
inline constexpr int kMostNumberRows = 8;

template <int kRows>
struct NumberProductShared {
  float sums[kNumberWarps][kRows][kPanelRows];
};

// Adds what a word of a weight's row (one fp32, or bf16 of two k) gives with a word of x.
template <WeightType kType>
__device__ __forceinline__ float AddProduct(std::uint32_t weight, std::uint32_t x, float sum) {
  if (kType == WeightType::kFp32)
    return __fmaf_rn(__uint_as_float(weight), __uint_as_float(x), sum);
  sum = __fmaf_rn(__uint_as_float(weight << 16), __uint_as_float(x << 16), sum);
  constexpr std::uint32_t kHigh = 0xffff0000u;
  return __fmaf_rn(__uint_as_float(weight & kHigh), __uint_as_float(x & kHigh), sum);
}

// The words of row m of x.
template <WeightType kType>
__device__ __forceinline__ const std::uint8_t* WordsOf(const Activations& x, std::int64_t m) {
  if (kType == WeightType::kFp32) return reinterpret_cast<const std::uint8_t*>(x.values + m * x.k);
  return reinterpret_cast<const std::uint8_t*>(x.bf16 + m * x.k);
}

// Said to be one block a multiprocessor: else the compiler spills registers at eight rows.
template <WeightType kType, int kRows>
__global__ void __launch_bounds__(kNumberThreads, 1)
    NumberProductKernel(MatmulArgs args, Range panels, std::int64_t panel_bytes) {
  auto& shared = SharedStorage<NumberProductShared<kRows>>();
  const Activations& x = args.x;
  const std::int64_t panel = panels.begin + blockIdx.x;
  const std::int64_t first_row = std::int64_t{blockIdx.y} * kRows;
  const int quad = Lane() % 4;  // of the panel's rows
  constexpr int kWordsOfWarp = kWarp / 4;
  const std::uint8_t* weights = args.weight.data + panel * panel_bytes + quad * 16;
  const std::uint8_t* row[kRows];  // beyond the last it is that again
#pragma unroll
  for (int m = 0; m < kRows; ++m) {
    row[m] = WordsOf<kType>(x, Smaller<std::int64_t>(first_row + m, x.rows - 1));
  }
  float sums[kRows][4] = {};
  const std::int64_t words = kType == WeightType::kFp32 ? x.k : x.k / 2;
#pragma unroll 2
  for (std::int64_t word = WarpOfBlock() * kWordsOfWarp + Lane() / 4; word < words;
       word += kNumberWarps * kWordsOfWarp) {
    const uint4 four = Load16(weights + word * kSliceBytes);
    const std::uint32_t weight[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
    for (int m = 0; m < kRows; ++m) {
      const std::uint32_t of_x = Load4(row[m] + word * 4);
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[m][i] = AddProduct<kType>(weight[i], of_x, sums[m][i]);
    }
  }
#pragma unroll
  for (int m = 0; m < kRows; ++m) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float sum = sums[m][i];
      for (int other = kWarp / 2; other >= 4; other /= 2) {
        sum = __fadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, other));
      }
      if (Lane() < 4) shared.sums[WarpOfBlock()][m][quad * 4 + i] = sum;
    }
  }
  __syncthreads();
  const int m = static_cast<int>(threadIdx.x) / kPanelRows;
  const int lane = static_cast<int>(threadIdx.x) % kPanelRows;
  const std::int64_t n = panel * kPanelRows + lane;
  if (m >= kRows || first_row + m >= x.rows || n >= args.weight.rows) return;
  float total = 0;
  for (int warp = 0; warp < kNumberWarps; ++warp) total += shared.sums[warp][m][lane];
  if (args.bias) total += args.bias[n];
  float& y = args.y[(first_row + m) * args.stride + n];
  y = args.add ? y + total : total;
}

template <WeightType kType, int kRows>
cudaError_t LaunchNumberProductOf(const MatmulArgs& args, Range panels, cudaStream_t stream) {
  return Launch(NumberProductKernel<kType, kRows>,
                {.grid = {static_cast<unsigned>(panels.end - panels.begin),
                          static_cast<unsigned>((args.x.rows + kRows - 1) / kRows)},
                 .block = kNumberThreads,
                 .shared_bytes = sizeof(NumberProductShared<kRows>),
                 .stream = stream},
                args, panels, PanelBytes(kType, args.weight.cols));
}

template <WeightType kType>
cudaError_t LaunchNumberProductOf(const MatmulArgs& args, Range panels, cudaStream_t stream) {
  if (args.x.rows == 1) return LaunchNumberProductOf<kType, 1>(args, panels, stream);
  if (args.x.rows == 2) return LaunchNumberProductOf<kType, 2>(args, panels, stream);
  if (args.x.rows <= 4) return LaunchNumberProductOf<kType, 4>(args, panels, stream);
  return LaunchNumberProductOf<kType, kMostNumberRows>(args, panels, stream);
}

// For fp32 and bf16 weights. Those of fp32, and on devices before 8.0 those of bf16, are read once
// for every kMostNumberRows rows of x.
inline cudaError_t LaunchNumberProduct(const MatmulArgs& args, Range panels, cudaStream_t stream) {
  if (panels.begin == panels.end || args.x.rows == 0) return cudaSuccess;
  if (args.weight.type == WeightType::kFp32) {
    return LaunchNumberProductOf<WeightType::kFp32>(args, panels, stream);
  }
  if (args.x.rows <= kMostNumberRows || ComputeCapability() < 80) {
    return LaunchNumberProductOf<WeightType::kBf16>(args, panels, stream);
  }
  return LaunchBf16Gemm(args, panels, stream);
}

}  // namespace fallow::cuda
