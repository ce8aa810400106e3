// That the counts of sectors and banks are those of an analysis by hand.

#include <catch2/catch_test_macros.hpp>
#include <cstdio>
#include <string>

#include "kernels/cuda/emulated.h"
#include "kernels/cuda/emulator/options.h"
#include "kernels/cuda/emulator/traffic.h"
#include "tests/kernels/cuda/sample_data.h"
#include "tests/kernels/weights.h"

namespace fallow::test {
namespace {

using cuda::emulator::LineTraffic;

template <typename Run>
std::vector<LineTraffic> TrafficOf(Run run) {
  cuda::emulator::TakeTraffic();
  const cuda::emulator::Options before = cuda::emulator::CurrentOptions();
  cuda::emulator::SetOptions({.count_traffic = true});
  run();
  cuda::emulator::SetOptions(before);
  return cuda::emulator::TakeTraffic();
}

// The reads of one kind of memory.
template <typename Run>
std::vector<LineTraffic> ReadsOf(bool shared, Run run) {
  std::vector<LineTraffic> lines = TrafficOf(run);
  std::erase_if(lines,
                [&](const LineTraffic& line) { return line.shared != shared || line.write; });
  return lines;
}

TEST_CASE("rows of 64 bytes without a gap cost ldmatrix four times the turns", "[cuda][traffic]") {
  for (const bool padded : {false, true}) {
    const auto lines = ReadsOf(/*shared=*/true, [&] {
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
  const auto lines = ReadsOf(/*shared=*/false, [] {
    CHECK(ErrorOfRowProduct(Fault::kNone, {1, 8, 512}) < 1e-5);
  });
  REQUIRE(lines.size() == 2);
  for (const LineTraffic& line : lines) {
    CHECK(line.requests == 8 * 512 / 256);
    CHECK(line.bytes == line.requests * 512);
    CHECK(line.ideal == line.requests * 16);
  }
}

TEST_CASE("products use all of each sector, and no bank two times", "[cuda][traffic]") {
  for (const WeightType type : kQuantisedTypes) {
    for (const std::int64_t m : {1, 2, 8}) {
      Random random(m);
      const PackedWeight weight(RandomWeights(type, 64, 1024, random));
      const std::vector<float> values = random.Many(m * 1024);
      const ActivationRows x(Arithmetic::kExact, m, 1024);
      kExactKernels.activations(
          {.x = values.data(), .rows = m, .n = 1024, .stride = 1024, .out = x.view()}, {0, m});
      alignas(64) float y[8 * 64];
      const auto lines = TrafficOf([&] {
        kEmulatedCudaKernels.matmul(
            {.weight = weight.panels(), .x = x.view(), .y = y, .stride = 64}, {0, 4});
      });
      CHECK(lines.size() > 6);
      for (const LineTraffic& line : lines) {
        CAPTURE(Name(type), m, line.line);
        CHECK(line.parts == line.ideal);
      }
    }
  }
}

TEST_CASE("matrix products of bf16 read and copy to no bank two times", "[cuda][traffic]") {
  for (const std::int64_t m : {64, 128}) {  // rows of the tiles that there are
    Random random(m);
    const PackedWeight weight(RandomWeights(WeightType::kBf16, 64, 256, random));
    const std::vector<float> values = random.Many(m * 256);
    const ActivationRows x(Arithmetic::kBf16, m, 256);
    CpuKernels().back()->activations(
        {.x = values.data(), .rows = m, .n = 256, .stride = 256, .out = x.view()}, {0, m});
    std::vector<float> y(m * 64);
    const auto lines = TrafficOf([&] {
      kEmulatedCudaKernels.matmul(
          {.weight = weight.panels(), .x = x.view(), .y = y.data(), .stride = 64}, {0, 4});
    });
    std::int64_t of_shared = 0;
    for (const LineTraffic& line : lines) {
      if (!line.shared) continue;
      CAPTURE(m, line.line);
      CHECK(line.parts == line.ideal);
      of_shared += line.bytes;
    }
    // Four warps read half of the rows and 32 columns each; all rows and columns are copied once.
    CHECK(of_shared == 256 * 2 * (4 * (m / 2 + 32) + m + 64));
  }
}

// What a token costs: the weights once, in whole sectors, and little else.
TEST_CASE("decoding transfers at most 1.18 times the bytes of its weights", "[cuda][traffic]") {
  constexpr std::int64_t kCols = 2048;
  for (const WeightType type : kWeightTypes) {
    Random random(2);
    const PackedWeight weight(RandomWeights(type, 64, kCols, random));
    const Arithmetic arithmetic = IsQuantised(type)           ? Arithmetic::kExact
                                  : type == WeightType::kBf16 ? Arithmetic::kBf16
                                                              : Arithmetic::kFp32;
    const std::vector<float> values = random.Many(kCols);
    const ActivationRows x(arithmetic, 1, kCols);
    CpuKernels().back()->activations(
        {.x = values.data(), .rows = 1, .n = kCols, .stride = kCols, .out = x.view()}, {0, 1});
    alignas(64) float y[64];
    const auto lines = TrafficOf([&] {
      kEmulatedCudaKernels.matmul({.weight = weight.panels(), .x = x.view(), .y = y, .stride = 64},
                                  {0, 4});
    });
    std::int64_t sectors = 0;
    for (const LineTraffic& line : lines) sectors += line.shared ? 0 : line.parts;
    const double ratio =
        32.0 * static_cast<double>(sectors) / static_cast<double>(weight.panels().bytes());
    std::printf("%s: %.3f times the bytes of its weights\n", std::string(Name(type)).c_str(),
                ratio);
    CAPTURE(Name(type), ratio);
    CHECK(ratio >= 1);
    CHECK(ratio <= 1.18);
  }
}

}  // namespace
}  // namespace fallow::test
