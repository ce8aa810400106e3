// Shuffles and votes among lanes that parted, by nvcc's PTX and by plain loops.
#include <algorithm>
#include <bit>
#include <set>

#include "tests/ptx/nvcc_test.h"

namespace fallow::ptx {
namespace {

using S32 = std::int32_t;
using U32 = std::uint32_t;

std::vector<S32> SomeNumbers(int n) {
  std::vector<S32> x;
  U32 state = 7;
  for (int i = 0; i < n; ++i) {
    state = state * 1664525 + 1013904223;
    x.push_back(static_cast<S32>(state) >> 8);
  }
  return x;
}

TEST_CASE("shuffles read the lanes of their segment", "[ptx]") {
  const int n = 64;
  std::vector<float> a;
  for (int i = 0; i < n; ++i) a.push_back(static_cast<float>(i * i));
  for (int architecture : kArchitectures) {
    for (int width : {32, 8}) {
      Module module = LoadKernels("lanes", architecture);
      std::vector<float> up(n), down(n), across(n), from(n);
      AddInput(module, a);
      for (std::vector<float>* out : {&up, &down, &across, &from}) AddOutput(module, *out);
      REQUIRE(module.Launch(absl::StrCat("Shuffles<", width, ">"), {.block = {n}}, a.data(),
                            up.data(), down.data(), across.data(),
                            from.data()) == absl::OkStatus());
      for (int i = 0; i < n; ++i) {
        INFO(architecture << ": thread " << i << ", width " << width);
        const int begin = i / width * width;
        REQUIRE(up[i] == a[i - 3 >= begin ? i - 3 : i]);
        REQUIRE(down[i] == a[i + 5 < begin + width ? i + 5 : i]);
        REQUIRE(across[i] == a[i ^ 6]);
        REQUIRE(from[i] == a[begin + i * 7 % width]);
      }
    }
  }
}

// What a warp's lane holds at the end of DivergentSums.
S32 DivergentSum(const std::vector<S32>& a, int first, int lane) {
  U32 sum = 0;
  if (lane < 8) {
    for (int i = 0; i < 8; ++i) sum += a[first + i];
  } else if (lane < 16) {
    sum = a[first + 15];
    for (int k = 0; k < 15; ++k) sum = sum * 3 + 1;
  } else {  // beyond the segment's end a lane adds its own sum so far
    std::vector<U32> x(a.begin() + first + 16, a.begin() + first + 32);
    for (int by = 8; by > 0; by /= 2) {
      const std::vector<U32> before = x;
      for (int i = 0; i < 16; ++i) x[i] += before[i + by < 16 ? i + by : i];
    }
    sum = x[lane - 16];
  }
  return static_cast<S32>(sum);
}

TEST_CASE("lanes that parted shuffle among themselves, and vote together again", "[ptx]") {
  const int n = 64;
  const std::vector<S32> a = SomeNumbers(n);
  for (int architecture : kArchitectures) {
    for (std::uint64_t seed : {0, 1, 2, 3}) {
      Module module = LoadKernels("lanes", architecture);
      std::vector<S32> sums(n), votes(4 * n);
      AddInput(module, a);
      AddOutput(module, sums);
      AddOutput(module, votes);
      REQUIRE(module.Launch("DivergentSums", {.block = {n}, .seed = seed}, a.data(), sums.data(),
                            votes.data()) == absl::OkStatus());
      for (int i = 0; i < n; ++i) {
        const int first = i / 32 * 32;
        U32 ballot = 0, same = 0;
        for (int lane = 0; lane < 32; ++lane) {
          ballot |= static_cast<U32>(DivergentSum(a, first, lane) & 1) << lane;
          same |= U32{(a[first + lane] & 3) == (a[i] & 3)} << lane;
        }
        INFO(architecture << ": thread " << i << ", seed " << seed);
        REQUIRE(sums[i] == DivergentSum(a, first, i % 32));
        REQUIRE(static_cast<U32>(votes[4 * i]) == ballot);
        REQUIRE(votes[4 * i + 1] == 0);
        REQUIRE(votes[4 * i + 2] == 1);
        REQUIRE(static_cast<U32>(votes[4 * i + 3]) == same);
      }
    }
  }
}

S32 Way(S32 x) {
  U32 sum = 0;
  while (x != 0) {
    switch (x % 7) {
      case 0:
        sum = sum * 5 + 1;
        break;
      case 1:
        sum ^= x;
        break;
      case 2:
        sum -= 1000;
        break;
      case 3:
        sum = static_cast<S32>(sum) / 3 + x;
        break;
      case 4:
        sum = ~sum;
        break;
      case 5:
        sum += 17u * x;
        break;
      default:
        sum *= 2;
    }
    x /= 2;
    if (x == 1234) break;
  }
  return static_cast<S32>(sum);
}

TEST_CASE("a switch within a loop takes each lane its own way", "[ptx]") {
  std::vector<S32> a = SomeNumbers(500);
  for (int i = -20; i < 20; ++i) a.push_back(i);
  a.push_back(2 * 1234);
  const int n = static_cast<int>(a.size());
  for (int architecture : kArchitectures) {
    Module module = LoadKernels("lanes", architecture);
    std::vector<S32> results(n);
    AddInput(module, a);
    AddOutput(module, results);
    REQUIRE(module.Launch("Ways", ThreadsFor(n), a.data(), n, results.data()) == absl::OkStatus());
    for (int i = 0; i < n; ++i) {
      INFO(architecture << ": " << a[i]);
      REQUIRE(results[i] == Way(a[i]));
    }
  }
}

TEST_CASE("reductions of a warp are one instruction", "[ptx]") {
  const std::vector<S32> a = SomeNumbers(32);
  for (int architecture : {80, 90, 120}) {
    Module module = LoadKernels("lanes", architecture);
    std::vector<S32> results(3 * 32);
    AddInput(module, a);
    AddOutput(module, results);
    REQUIRE(module.Launch("Reductions", {.block = {32}}, a.data(), results.data()) ==
            absl::OkStatus());
    U32 sum = 0;
    for (S32 x : a) sum += x;
    const U32 largest = *std::max_element(a.begin(), a.end(), std::less<U32>());
    CHECK(RanAll(module, "redux"));
    for (int i = 0; i < 32; ++i) {
      REQUIRE(static_cast<U32>(results[3 * i]) == sum);
      REQUIRE(results[3 * i + 1] == *std::min_element(a.begin(), a.end()));
      REQUIRE(static_cast<U32>(results[3 * i + 2]) == largest);
    }
  }
}

}  // namespace
}  // namespace fallow::ptx
