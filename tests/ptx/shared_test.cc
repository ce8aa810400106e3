// Shared memory, barriers and asynchronous copies.
#include "tests/ptx/nvcc_test.h"

namespace fallow::ptx {
namespace {

TEST_CASE("a transpose by way of shared tiles, with partial tiles", "[ptx]") {
  for (int architecture : kArchitectures) {
    for (std::uint64_t seed : {0, 5}) {
      const int rows = 37, columns = 21;
      Module module = LoadKernels("shared", architecture);
      std::vector<float> a(rows * columns), b(rows * columns);
      for (int i = 0; i < rows * columns; ++i) a[i] = static_cast<float>(i);
      AddInput(module, a);
      AddOutput(module, b);
      REQUIRE(module.Launch("Transpose", {.grid = {2, 3}, .block = {16, 16}, .seed = seed},
                            a.data(), b.data(), rows, columns) == absl::OkStatus());
      for (int i = 0; i < rows * columns; ++i) {
        INFO(architecture << ": element " << i);
        REQUIRE(b[i] == a[i % rows * columns + i / rows]);
      }
    }
  }
}

TEST_CASE("a sum over a block in dynamic shared memory, in any order of warps", "[ptx]") {
  const int n = 1000;
  std::vector<std::int32_t> a(n);
  for (int i = 0; i < n; ++i) a[i] = i * i - 5000;
  for (int architecture : kArchitectures) {
    for (std::uint64_t seed : {0, 1, 2}) {
      Module module = LoadKernels("shared", architecture);
      std::vector<std::int32_t> sums(4);
      AddInput(module, a);
      AddOutput(module, sums);
      const LaunchOptions options{
          .grid = {4}, .block = {256}, .dynamic_shared_bytes = 1024, .seed = seed};
      REQUIRE(module.Launch("Sums", options, a.data(), n, sums.data()) == absl::OkStatus());
      for (int block = 0; block < 4; ++block) {
        std::int32_t want = 0;
        for (int i = block * 256; i < std::min(n, block * 256 + 256); ++i) want += a[i];
        REQUIRE(sums[block] == want);
      }
      LaunchOptions too_little = options;
      too_little.dynamic_shared_bytes = 1020;
      CHECK(module.Launch("Sums", too_little, a.data(), n, sums.data()).code() ==
            absl::StatusCode::kInternal);
    }
  }
}

TEST_CASE("tables in constant and global memory, and arrays in local memory", "[ptx]") {
  const std::int8_t table[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                 1,    13,   25,  38,  53,  69,  89,  113};
  const float scales[4] = {0.5f, -2, 3, 0.25f};
  std::vector<std::uint8_t> codes;
  for (int i = 0; i < 256; ++i) codes.push_back(static_cast<std::uint8_t>(i));
  const int n = 256;
  for (int architecture : kArchitectures) {
    Module module = LoadKernels("shared", architecture);
    std::vector<float> results(n);
    AddInput(module, codes);
    AddOutput(module, results);
    REQUIRE(module.Launch("Lookups", ThreadsFor(n), codes.data(), n, results.data()) ==
            absl::OkStatus());
    for (int i = 0; i < n; ++i) {
      float seen[8] = {};
      for (int k = 0; k < 16; ++k) seen[i >> k % 5 & 7] += table[(i + k) & 15];
      INFO(architecture << ": code " << i);
      REQUIRE(results[i] == seen[i & 7] * scales[i & 3]);
    }
  }
}

// Runs DoubleBuffer<fault>; `right` says whether its sums are.
absl::Status RunDoubleBuffer(int architecture, int fault, const LaunchOptions& options,
                             bool& right) {
  const int n = 5 * 128 + 60, tiles = 6;  // the last tile is partial
  Module module = LoadKernels("shared", architecture);
  std::vector<float> a(n), y(128);
  for (int i = 0; i < n; ++i) a[i] = static_cast<float>(i * 3 % 101);
  AddInput(module, a);
  AddOutput(module, y);
  const absl::Status ran = module.Launch(absl::StrCat("DoubleBuffer<", fault, ">"), options,
                                         a.data(), n, tiles, y.data());
  right = true;
  for (int i = 0; i < 128; ++i) {
    float want = 0;
    for (int tile = 0; tile < tiles; ++tile) {
      const int at = tile * 128 + (i + tile) % 128;
      want += at < n ? a[at] : 0;
    }
    right = right && y[i] == want;
  }
  return ran;
}

TEST_CASE("cp.async feeds a double buffer, landing late or early", "[ptx]") {
  for (int architecture : {80, 90, 120}) {
    for (bool late : {true, false}) {
      bool right = false;
      const LaunchOptions options{.block = {64}, .copies_land_late = late};
      INFO("architecture " << architecture << ", late " << late);
      REQUIRE(RunDoubleBuffer(architecture, 0, options, right) == absl::OkStatus());
      REQUIRE(right);
    }
  }
}

TEST_CASE("a copy that nobody waited for cannot be read", "[ptx]") {
  bool right = true;
  const absl::Status ran = RunDoubleBuffer(80, 1, {.block = {64}}, right);
  CHECK(ran.code() == absl::StatusCode::kInternal);
  CHECK(ran.message().find("still being copied") != std::string::npos);
}

TEST_CASE("a buffer that is filled while it is read shows when copies land early", "[ptx]") {
  int wrong[3] = {};
  for (int fault : {0, 2}) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      bool right = false;
      const LaunchOptions options{.block = {64}, .seed = seed, .copies_land_late = false};
      REQUIRE(RunDoubleBuffer(80, fault, options, right) == absl::OkStatus());
      wrong[fault] += !right;
    }
  }
  CHECK(wrong[0] == 0);
  CHECK(wrong[2] > 0);
}

}  // namespace
}  // namespace fallow::ptx
