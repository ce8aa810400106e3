// Products on a GPU, by the kernel that suits the weights and the number of rows.
#pragma once

#include "kernels/matmul/embed.cuh"
#include "kernels/matmul/few_rows.cuh"
#include "kernels/matmul/gemm.cuh"
#include "kernels/matmul/numbers.cuh"
#include "kernels/matmul/skinny.cuh"

namespace fallow::cuda {

// Up to so many rows, reading the weights once or twice takes longer than computing.
inline constexpr std::int64_t kMostTilesOfFewRows = 2;

inline cudaError_t LaunchMatmul(const MatmulArgs& args, Range panels,
                                cudaStream_t stream = nullptr) {
  if (!IsQuantised(args.weight.type)) return LaunchNumberProduct(args, panels, stream);
  if (args.x.rows == 1) return LaunchSkinnyProduct(args, panels, stream);
  // Before 8.0 there is not as much shared memory as a few rows need.
  const bool few = args.x.rows <= kMostTilesOfFewRows * kMostFewRows && ComputeCapability() >= 80;
  return few ? LaunchFewRows(args, panels, stream) : LaunchGemm(args, panels, stream);
}

}  // namespace fallow::cuda
