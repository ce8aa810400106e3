// The tests of the CUDA kernels in the emulator.
#include "kernels/cuda/emulator/options.h"
#include "tests/kernels/cuda/session.h"

int main(int argc, char** argv) {
  if (const std::uint64_t seed = fallow::test::SeedOfSession()) {
    fallow::cuda::emulator::SetOptions(
        {.random_order = true, .seed = seed, .preempt_one_in = 100, .early_copies = seed % 2 == 1});
  }
  return fallow::test::RunSession(argc, argv);
}
