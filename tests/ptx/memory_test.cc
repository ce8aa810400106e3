// Vector and narrow accesses, parameters by value, and atomics.
#include <algorithm>

#include "tests/ptx/nvcc_test.h"

namespace fallow::ptx {
namespace {

// As kernels/memory.cu has it.
struct Shape {
  const float* from;
  float* to;
  std::int32_t n;
  std::int8_t shift;
};

TEST_CASE("vectors of every width, with ragged ends", "[ptx]") {
  for (int architecture : kArchitectures) {
    for (int n : {1, 2, 3, 4, 7, 250}) {
      Module module = LoadKernels("memory", architecture);
      alignas(16) float from[256], to[256];
      for (int i = 0; i < 256; ++i) from[i] = static_cast<float>(i) / 4;
      module.memory().AddReadOnly(from, n * 4);
      module.memory().Add(to, n * 4);
      const Shape shape{from, to, n, -3};
      INFO(architecture << ": n = " << n);
      REQUIRE(module.Launch("Vectors", {.grid = {2}, .block = {32}}, shape) == absl::OkStatus());
      for (int i = 0; i < n; ++i) REQUIRE(to[i] == from[i] * 2 - 3);
    }
  }
}

// What a host compiler makes of the kernels of that name: here only their names count.
extern "C" void Vectors(Shape) {}

TEST_CASE("a kernel is found by the host's function of its name", "[ptx]") {
  Module module = LoadKernels("memory", 80);
  alignas(16) float from[4] = {1, 2, 3, 4}, to[4] = {};
  const Shape shape{from, to, 4, 1};
  const void* const arguments[] = {&shape};
  const auto* function = reinterpret_cast<const void*>(&Vectors);
  CHECK(module.LaunchFunction(function, {.block = {1}}, arguments).code() ==
        absl::StatusCode::kInternal);
  module.memory().TrustHost();
  REQUIRE(module.LaunchFunction(function, {.block = {1}}, arguments) == absl::OkStatus());
  CHECK(to[3] == 9);
}

TEST_CASE("the same arguments as a launch on a device takes", "[ptx]") {
  Module module = LoadKernels("memory", 80);
  alignas(16) float from[4] = {1, 2, 3, 4}, to[4] = {};
  module.memory().AddReadOnly(from, sizeof(from));
  module.memory().Add(to, sizeof(to));
  Shape shape{from, to, 4, 1};
  void* arguments[] = {&shape};
  REQUIRE(module.LaunchWith("Vectors", {.block = {1}}, arguments) == absl::OkStatus());
  CHECK(to[3] == 9);
  CHECK(RanAll(module, "st.global.v4.f32") != RanAll(module, "st.global.v4.b32"));
  CHECK(module.Report().find("never ran: atom") != std::string::npos);
}

TEST_CASE("bytes and words keep their signs", "[ptx]") {
  std::vector<std::int8_t> a;
  std::vector<std::uint8_t> b;
  std::vector<std::int16_t> c;
  std::vector<std::uint16_t> d;
  for (int i = 0; i < 1000; ++i) {
    a.push_back(static_cast<std::int8_t>(i * 37));
    b.push_back(static_cast<std::uint8_t>(i * 91));
    c.push_back(static_cast<std::int16_t>(i * 7919));
    d.push_back(static_cast<std::uint16_t>(i * 104729));
  }
  const int n = 1000;
  for (int architecture : kArchitectures) {
    Module module = LoadKernels("memory", architecture);
    std::vector<std::int64_t> sums(n);
    std::vector<std::int8_t> bytes(n);
    std::vector<std::uint16_t> words(n);
    AddInput(module, a);
    AddInput(module, b);
    AddInput(module, c);
    AddInput(module, d);
    AddOutput(module, sums);
    AddOutput(module, bytes);
    AddOutput(module, words);
    REQUIRE(module.Launch("Narrow", ThreadsFor(n), a.data(), b.data(), c.data(), d.data(), n,
                          sums.data(), bytes.data(), words.data()) == absl::OkStatus());
    for (int i = 0; i < n; ++i) {
      INFO(architecture << ": " << i);
      REQUIRE(sums[i] == a[i] * 3 + b[i] - c[i] * 5 + d[i]);
      REQUIRE(bytes[i] == static_cast<std::int8_t>(c[i]));
      REQUIRE(words[i] == static_cast<std::uint16_t>(a[i] + b[i]));
    }
  }
}

TEST_CASE("atomics lose nothing, whatever the order of warps", "[ptx]") {
  std::vector<std::int32_t> a;
  for (int i = 0; i < 700; ++i) a.push_back(i * 7919 % 10007 - 4000);
  const int n = 700;
  std::vector<std::uint32_t> wanted_histogram(8);
  unsigned long long wanted_sum = 0;
  float wanted_total = 0;
  std::int32_t wanted_bits = 0;
  for (std::int32_t x : a) {
    ++wanted_histogram[x & 7];
    wanted_sum += static_cast<unsigned long long>(x & 0xffff) << 20;
    wanted_total += static_cast<float>(x & 15);  // exact in any order
    wanted_bits ^= x;
  }
  const auto [least, most] = std::minmax_element(a.begin(), a.end());
  for (int architecture : kArchitectures) {
    for (std::uint64_t seed : {0, 9}) {
      Module module = LoadKernels("memory", architecture);
      std::vector<std::uint32_t> histogram(8), count(1);
      std::vector<std::int32_t> extremes(3);
      std::vector<unsigned long long> sum(1);
      std::vector<float> total(1);
      AddInput(module, a);
      AddOutput(module, histogram);
      AddOutput(module, count);
      AddOutput(module, extremes);
      AddOutput(module, sum);
      AddOutput(module, total);
      INFO(architecture << ", seed " << seed);
      REQUIRE(module.Launch("Atomics", {.grid = {4}, .block = {192}, .seed = seed}, a.data(), n,
                            histogram.data(), extremes.data(), sum.data(), total.data(),
                            count.data()) == absl::OkStatus());
      CHECK(histogram == wanted_histogram);
      CHECK(extremes == std::vector{*least, *most, wanted_bits});
      CHECK(sum[0] == wanted_sum);
      CHECK(total[0] == wanted_total);
      CHECK(count[0] == 700);
    }
  }
}

}  // namespace
}  // namespace fallow::ptx
