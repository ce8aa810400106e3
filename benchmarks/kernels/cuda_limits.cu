// The limits of a GPU.
#include "benchmarks/kernels/cuda_limits.cuh"

namespace fallow {

const CudaLimits kGpuLimits = cuda::kLimits;

}  // namespace fallow
