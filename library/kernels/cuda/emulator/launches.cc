// The launches in the emulator.
#include "kernels/cuda/launches.cuh"

namespace fallow::cuda {

const Launches kEmulatedLaunches = kLaunches;

}  // namespace fallow::cuda
