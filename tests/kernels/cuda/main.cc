// The tests of the CUDA kernels in the emulator: they also fail where it found a kernel wrong.
// With FALLOW_CUDA_SEED=n threads run in another order for each n.

#include <catch2/catch_session.hpp>
#include <cstdio>
#include <cstdlib>

#include "kernels/cuda/emulator/findings.h"
#include "kernels/cuda/emulator/options.h"

int main(int argc, char** argv) {
  using namespace fallow::cuda::emulator;
  if (const char* text = std::getenv("FALLOW_CUDA_SEED")) {
    const std::uint64_t seed = std::strtoull(text, nullptr, 10);
    SetOptions(
        {.random_order = true, .seed = seed, .preempt_one_in = 100, .early_copies = seed % 2 == 1});
  }
  const int result = Catch::Session().run(argc, argv);
  const auto findings = TakeFindings();
  for (const Finding& finding : findings) {
    std::printf("%s: %s (%lld times): %s\n", finding.line.c_str(), finding.kind.c_str(),
                static_cast<long long>(finding.count), finding.text.c_str());
  }
  return result != 0 ? result : !findings.empty();
}
