// What the programs of this folder have in common.
#pragma once

#include <catch2/catch_session.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "kernels/cuda/emulator/findings.h"

namespace fallow::test {

// With FALLOW_CUDA_SEED=n threads run in another order for each n; 0 and the default: in order.
inline std::uint64_t SeedOfSession() {
  const char* text = std::getenv("FALLOW_CUDA_SEED");
  return text ? std::strtoull(text, nullptr, 10) : 0;
}

// The compute capability that a file of PTX is for, as ComputeCapability() has it; 0 if it names
// none.
inline int CapabilityOfPtx(const char* path) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    constexpr std::string_view kTarget = ".target sm_";
    if (line.starts_with(kTarget)) return std::atoi(line.c_str() + kTarget.size());
  }
  return 0;
}

// Runs the tests that the arguments select. They also fail where a kernel was found wrong.
inline int RunSession(int argc, char** argv) {
  const int result = Catch::Session().run(argc, argv);
  const auto findings = cuda::emulator::TakeFindings();
  for (const auto& finding : findings) {
    std::printf("%s: %s (%lld times): %s\n", finding.line.c_str(), finding.kind.c_str(),
                static_cast<long long>(finding.count), finding.text.c_str());
  }
  return result != 0 ? result : !findings.empty();
}

}  // namespace fallow::test
