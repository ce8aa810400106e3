// The launches on a GPU.
#include "kernels/cuda/launches.cuh"

namespace fallow::cuda {

const Launches kGpuLaunches = kLaunches;

}  // namespace fallow::cuda
