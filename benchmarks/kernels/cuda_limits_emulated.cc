// The same in the emulator, where they limit nothing, to try the program.
#include "benchmarks/kernels/cuda_limits.cuh"

namespace fallow {

const CudaLimits kEmulatedLimits = cuda::kLimits;

}  // namespace fallow
