// That a checked run in order finds each planted fault and names the line: the proof that no
// finding means something.

#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <string>

#include "kernels/cuda/emulator/findings.h"
#include "kernels/cuda/emulator/options.h"
#include "tests/kernels/cuda/sample_data.h"

namespace fallow::test {
namespace {

using cuda::emulator::Finding;
using cuda::emulator::TakeFindings;

struct FaultCase {
  Fault fault;
  const char* name;
  const char* kind;
  double (*error)(Fault);
};

double Tiled(Fault fault) { return ErrorOfTiledProduct(fault, {40, 50, 70}); }
double Row(Fault fault) { return ErrorOfRowProduct(fault, {1, 10, 512}); }
double Streamed(Fault fault) { return ErrorOfStreamedSum(fault, {22, 128, 0}); }
double Reversal(Fault fault) { return ErrorOfWarpReversal(fault, {192, 0, 0}); }
double Tensor(Fault fault) { return ErrorOfTensorProduct(fault, {70, 90, 96}); }

#define FALLOW_FAULT(name) Fault::name, #name
constexpr FaultCase kFaults[] = {
    {FALLOW_FAULT(kNoBarrierAfterLoad), "race", Tiled},
    {FALLOW_FAULT(kNoBarrierBeforeReload), "race", Tiled},
    {FALLOW_FAULT(kNoTailGuard), "out of bounds", Tiled},
    {FALLOW_FAULT(kIndexBeyondArray), "out of bounds", Tiled},
    {FALLOW_FAULT(kBarrierInBranch), "barrier after exit", Tiled},
    {FALLOW_FAULT(kTwoBarriers), "divergent barrier", Tiled},
    {FALLOW_FAULT(kTooLittleShared), "shared memory", Tiled},
    {FALLOW_FAULT(kLaneLeaves), "warp mask", Row},
    {FALLOW_FAULT(kMisaligned), "misaligned", Row},
    {FALLOW_FAULT(kForeignLane), "shuffle", Row},
    {FALLOW_FAULT(kMaskWithoutSelf), "warp mask", Row},
    {FALLOW_FAULT(kNoWait), "copy in flight", Streamed},
    {FALLOW_FAULT(kNoTrailingBarrier), "race", Streamed},
    {FALLOW_FAULT(kWriteToInput), "read only", Streamed},
    {FALLOW_FAULT(kUnwrittenInput), "unwritten", Streamed},
    {FALLOW_FAULT(kNoWarpSync), "race", Reversal},
    {FALLOW_FAULT(kOtherBlock), "race", Reversal},
    {FALLOW_FAULT(kMissingLane), "deadlock", Reversal},
    {FALLOW_FAULT(kWaitForFewer), "copy in flight", Tensor},
};

// "samples.cuh:42", of the line with the comment "at <name>".
std::string MarkedLine(const std::string& name) {
  std::ifstream source(FALLOW_SOURCE_DIR "/tests/kernels/cuda/samples.cuh");
  std::string line;
  for (int number = 1; std::getline(source, line); ++number) {
    const auto comment = line.find("// at ");
    if (comment == std::string::npos || line.find(name, comment) == std::string::npos) continue;
    return "samples.cuh:" + std::to_string(number);
  }
  return "no line is marked with " + name;
}

TEST_CASE("each planted fault is found, and its line is named", "[cuda][faults]") {
  TakeFindings();
  for (const FaultCase& c : kFaults) {
    CAPTURE(c.name, c.kind);
    c.error(c.fault);
    const std::string line = MarkedLine(c.name);
    std::string found;
    bool named = false;
    for (const Finding& finding : TakeFindings()) {
      found += "\n" + finding.kind + " " + finding.line + ": " + finding.text;
      const bool here = finding.line == line || finding.text.find(line) != std::string::npos;
      named = named || (finding.kind == c.kind && here);
    }
    INFO("want " << line << ", found" << found);
    CHECK(named);
  }
}

TEST_CASE("a fault that breaks no rule shows in the result", "[cuda][faults]") {
  CHECK(Tensor(Fault::kHalvesSwapped) > 0.1);
  CHECK(TakeFindings().empty());
}

}  // namespace
}  // namespace fallow::test
