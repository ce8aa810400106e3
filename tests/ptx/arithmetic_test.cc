// Integers: each pair of edges, by nvcc's PTX and by plain C++.
#include <algorithm>
#include <bit>
#include <limits>

#include "tests/ptx/nvcc_test.h"

namespace fallow::ptx {
namespace {

using S32 = std::int32_t;
using U32 = std::uint32_t;
using S64 = std::int64_t;
using U64 = std::uint64_t;

template <typename T>
std::vector<T> Edges() {
  using Limits = std::numeric_limits<T>;
  return {0,
          1,
          -1,
          2,
          7,
          -8,
          31,
          32,
          63,
          100,
          -127,
          128,
          255,
          -256,
          32767,
          -32768,
          65535,
          static_cast<T>(0x12345678),
          static_cast<T>(0xdeadbeefcafe1234),
          Limits::min(),
          Limits::min() + 1,
          Limits::max(),
          Limits::max() - 1};
}

U32 Reversed(U32 x) {
  U32 result = 0;
  for (int i = 0; i < 32; ++i) result |= (x >> i & 1) << (31 - i);
  return result;
}

U32 Permuted(U32 low, U32 high, U32 selectors) {
  const U64 bytes = U64{high} << 32 | low;
  U32 result = 0;
  for (int i = 0; i < 4; ++i) {  // __byte_perm looks at three bits of each selector
    result |= static_cast<U32>(bytes >> (8 * (selectors >> (4 * i) & 7)) & 255) << (8 * i);
  }
  return result;
}

template <typename Byte>
U32 DotProduct(U32 a, U32 b, U32 c) {
  for (int i = 0; i < 32; i += 8) {
    c += static_cast<U32>(static_cast<Byte>(a >> i) * static_cast<Byte>(b >> i));
  }
  return c;
}

std::vector<S32> Expected(S32 x, S32 y) {
  const U32 u = x, v = y;
  const bool divides = y != 0 && y != -1;
  const U64 both = U64{v} << 32 | u;
  const std::vector<U32> expected = {
      u + v,
      u - v,
      u * v,
      static_cast<U32>(S64{x} * y >> 32),
      static_cast<U32>(U64{u} * v >> 32),
      static_cast<U32>(divides ? x / y : 0),
      static_cast<U32>(divides ? x % y : 0),
      v == 0 ? 0 : u / v,
      v == 0 ? 0 : u % v,
      static_cast<U32>(std::min(x, y)),
      std::max(u, v),
      x < 0 ? 0 - u : u,
      static_cast<U32>(x >> (v & 31)),
      u >> (v & 31),
      u << (v & 31),
      (u & v) ^ (u | ~v),
      static_cast<U32>(std::countl_zero(u)),
      static_cast<U32>(std::popcount(u)),
      Reversed(u),
      static_cast<U32>(both << 11 >> 32),
      static_cast<U32>(both >> (u & 31)),
      Permuted(u, v, 0x3614),
      Permuted(u, v, v & 0xffff),
      DotProduct<std::int8_t>(u, v, 7),
      DotProduct<std::uint8_t>(u, v, 7),
      static_cast<U32>(S32{static_cast<std::int16_t>(x)} * static_cast<std::int16_t>(y)),
      static_cast<U32>(static_cast<std::int8_t>(x) + static_cast<std::uint8_t>(y)),
      u >> 5 & 0x7f,
      static_cast<U32>(static_cast<S32>(u << 20) >> 24),
  };
  return {expected.begin(), expected.end()};
}

std::vector<S64> ExpectedLong(S64 x, S64 y) {
  const U64 u = x, v = y;
  const bool divides = y != 0 && y != -1;
  return {
      static_cast<S64>(u + v),
      static_cast<S64>(u - v),
      static_cast<S64>(u * v),
      static_cast<S64>(static_cast<__int128>(x) * y >> 64),
      static_cast<S64>(static_cast<unsigned __int128>(u) * v >> 64),
      divides ? x / y : 0,
      static_cast<S64>(v == 0 ? 0 : u % v),
      x >> (v & 63),
      static_cast<S64>(u << (v & 63)),
      std::min(x, y),
      std::countl_zero(u) * 100 + std::popcount(u),
      static_cast<S64>(static_cast<U64>(S64{static_cast<S32>(x)} * static_cast<S32>(y)) + v),
      static_cast<S64>(U64{static_cast<U32>(x)} * static_cast<U32>(y)),
  };
}

template <typename T>
void CheckPairs(const std::string& kernel, std::vector<T> (*expected)(T, T)) {
  std::vector<T> a, b;
  for (T x : Edges<T>()) {
    for (T y : Edges<T>()) {
      a.push_back(x);
      b.push_back(y);
    }
  }
  const int n = static_cast<int>(a.size());
  const int count = static_cast<int>(expected(1, 1).size());
  for (int architecture : kArchitectures) {
    Module module = LoadKernels("integers", architecture);
    std::vector<T> results(n * count);
    AddInput(module, a);
    AddInput(module, b);
    AddOutput(module, results);
    CHECK(module.Launch(kernel, ThreadsFor(n), a.data(), b.data(), n, results.data(), count) ==
          absl::OkStatus());
    for (int i = 0; i < n; ++i) {
      const std::vector<T> got(results.begin() + i * count, results.begin() + (i + 1) * count);
      INFO(architecture << ": " << a[i] << " and " << b[i]);
      REQUIRE(got == expected(a[i], b[i]));
    }
  }
}

TEST_CASE("integers of nvcc's PTX are those of C++ at their edges", "[ptx]") {
  CheckPairs<S32>("Integers", Expected);
}

TEST_CASE("integers of 64 bits are those of C++ at their edges", "[ptx]") {
  CheckPairs<S64>("LongIntegers", ExpectedLong);
}

TEST_CASE("dp4a is one instruction, and all of them ran", "[ptx]") {
  const std::vector<S32> a = {0x01020304}, b = {0x05060708};
  const int n = 1, count = static_cast<int>(Expected(1, 1).size());
  std::vector<S32> results(count);
  Module module = LoadKernels("integers", 80);
  AddInput(module, a);
  AddInput(module, b);
  AddOutput(module, results);
  CHECK(!RanAll(module, "dp4a"));
  CHECK(module.Launch("Integers", ThreadsFor(n), a.data(), b.data(), n, results.data(), count) ==
        absl::OkStatus());
  CHECK(RanAll(module, "dp4a"));
}

}  // namespace
}  // namespace fallow::ptx
