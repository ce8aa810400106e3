// Builds without CUDA.
#include "kernels/cuda/runtime.h"

namespace fallow::cuda {

absl::StatusOr<int> CountGpus() { return absl::UnimplementedError("this build has no CUDA"); }

absl::StatusOr<std::unique_ptr<Runtime>> OpenGpu(int) { return CountGpus().status(); }

}  // namespace fallow::cuda
