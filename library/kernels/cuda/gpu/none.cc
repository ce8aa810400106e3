// Builds without CUDA.
#include "kernels/cuda/runtime.h"

namespace fallow::cuda {

absl::StatusOr<std::unique_ptr<Runtime>> OpenGpu() {
  return absl::UnimplementedError("this build has no CUDA");
}

}  // namespace fallow::cuda
