#include "tests/kernels/kernel_test.h"

namespace fallow::test {

std::span<const KernelTable* const> TestedKernels() { return CpuKernels(); }

}  // namespace fallow::test
