// All kernels, for nvcc: that it takes them, for the devices we mean them for.
#include "kernels/cuda/launches.cuh"

namespace fallow::test {

// With it all kernels behind the launches are made.
extern const cuda::Launches kLaunches;
const cuda::Launches kLaunches = cuda::kLaunches;

}  // namespace fallow::test
