// The tables of cases of tests/kernels on the CUDA kernels in the emulator.
#include "kernels/cuda/emulated.h"
#include "tests/kernels/kernel_test.h"

namespace fallow::test {

std::span<const KernelTable* const> TestedKernels() {
  static constexpr const KernelTable* kTables[] = {&kEmulatedCudaKernels};
  return kTables;
}

}  // namespace fallow::test
