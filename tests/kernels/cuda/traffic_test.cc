// That the counts of sectors and banks are those of an analysis by hand.

#include <catch2/catch_test_macros.hpp>

#include "kernels/cuda/emulator/findings.h"
#include "kernels/cuda/emulator/options.h"
#include "kernels/cuda/emulator/traffic.h"
#include "tests/kernels/cuda/sample_data.h"

namespace fallow::test {
namespace {

using cuda::emulator::LineTraffic;

// The lines that `run` touches, of one kind of access.
template <typename Run>
std::vector<LineTraffic> TrafficOf(bool shared, bool write, Run run) {
  cuda::emulator::TakeTraffic();
  const cuda::emulator::Options before = cuda::emulator::CurrentOptions();
  cuda::emulator::SetOptions({.count_traffic = true});
  run();
  cuda::emulator::SetOptions(before);
  std::vector<LineTraffic> lines = cuda::emulator::TakeTraffic();
  std::erase_if(
      lines, [&](const LineTraffic& line) { return line.shared != shared || line.write != write; });
  return lines;
}

TEST_CASE("rows of 64 bytes without a gap cost ldmatrix four times the turns", "[cuda][traffic]") {
  for (const bool padded : {false, true}) {
    const auto lines = TrafficOf(/*shared=*/true, /*write=*/false, [&] {
      CHECK(ErrorOfTensorProduct(Fault::kNone, {64, 64, 32}, padded) < 1e-5);
    });
    CHECK(!lines.empty());
    for (const LineTraffic& line : lines) {
      CAPTURE(line.line, padded);
      CHECK(line.bytes == line.requests * 32 * 16);
      CHECK(line.ideal == line.requests * 4);
      CHECK(line.parts == line.requests * (padded ? 4 : 16));
    }
  }
}

TEST_CASE("sixteen bytes a lane fill the sectors they touch", "[cuda][traffic]") {
  const auto lines = TrafficOf(/*shared=*/false, /*write=*/false, [] {
    CHECK(ErrorOfRowProduct(Fault::kNone, {1, 8, 512}) < 1e-5);
  });
  REQUIRE(lines.size() == 2);
  for (const LineTraffic& line : lines) {
    CHECK(line.requests == 8 * 512 / 256);
    CHECK(line.bytes == line.requests * 512);
    CHECK(line.ideal == line.requests * 16);
  }
}

}  // namespace
}  // namespace fallow::test
