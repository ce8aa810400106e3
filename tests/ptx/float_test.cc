// Floats: each triple of edges, by nvcc's PTX and by plain C++.
#include <bit>
#include <cfenv>
#include <cmath>
#include <limits>

#include "kernels/float_bits.h"
#include "tests/ptx/nvcc_test.h"

namespace fallow::ptx {
namespace {

using U32 = std::uint32_t;
using S32 = std::int32_t;

const std::vector<float> kEdges = {0,
                                   -0.0f,
                                   1,
                                   -1,
                                   0.5f,
                                   -1.5f,
                                   2.5f,
                                   1.0f / 3,
                                   -100.75f,
                                   127.5f,
                                   65504,
                                   65520,
                                   -65536,
                                   1e-45f,
                                   -1e-40f,
                                   0x1p-126f,
                                   0x1p-24f,
                                   0x1p-25f,
                                   0x1.8p-25f,
                                   6.1e-5f,
                                   1.00390625f,
                                   1.01171875f,
                                   2147483648.0f,
                                   -2147483904.0f,
                                   4294967296.0f,
                                   9.3e18f,
                                   -9.3e18f,
                                   3.4e38f,
                                   -3.4e38f,
                                   INFINITY,
                                   -INFINITY,
                                   NAN};

// NaNs are all alike.
U32 Bits(float x) { return std::isnan(x) ? 0x7fffffff : std::bit_cast<U32>(x); }

// operation(x, y, z) under another rounding mode of the host.
U32 Directed(int mode, float x, float y, float z, float (*operation)(float, float, float)) {
  const volatile float kept[] = {x, y, z};
  std::fesetround(mode);
  const volatile float result = operation(kept[0], kept[1], kept[2]);
  std::fesetround(FE_TONEAREST);
  return Bits(result);
}

std::vector<U32> ExpectedFloats(float x, float y, float z) {
  const bool unordered = std::isnan(x) || std::isnan(y);
  const auto least = [](float a, float b) {
    return a == b ? (std::signbit(a) ? a : b) : std::fmin(a, b);
  };
  return {
      Bits(x + y),
      Bits(x - y),
      Bits(x * y),
      Bits(x / y),
      Bits(std::fma(x, y, z)),
      Bits(std::sqrt(x)),
      Bits(1 / x),
      Bits(least(x, y)),
      Bits(-least(-x, -y)),
      Bits(-x),
      Bits(std::abs(x)),
      static_cast<U32>((x < y) | (x <= y) << 1 | (x > y) << 2 | (x >= y) << 3 | (x == y) << 4 |
                       (unordered || x != y) << 5),
      Bits(static_cast<float>(double{x} * y)),
      Bits(std::isnan(x) ? 0
           : x <= 0      ? 0
                         : std::fmin(x, 1.0f)),
      Directed(FE_TOWARDZERO, x, y, z, [](float a, float b, float) { return a + b; }),
      Directed(FE_DOWNWARD, x, y, z, [](float a, float b, float) { return a - b; }),
      Directed(FE_UPWARD, x, y, z, [](float a, float b, float) { return a * b; }),
      Directed(FE_DOWNWARD, x, y, z, [](float a, float b, float c) { return std::fma(a, b, c); }),
      Directed(FE_TOWARDZERO, x, y, z, [](float a, float b, float c) { return std::fma(a, b, c); }),
  };
}

template <typename To>
To Clamped(double x) {
  if (std::isnan(x)) return 0;
  if (x <= static_cast<double>(std::numeric_limits<To>::min())) {
    return std::numeric_limits<To>::min();
  }
  if (x >= static_cast<double>(std::numeric_limits<To>::max())) {
    return std::numeric_limits<To>::max();
  }
  return static_cast<To>(x);
}

U32 HalfBits(float x) { return std::isnan(x) ? 0x7fff : Fp16FromFloat(x); }
U32 BrainBits(float x) { return std::isnan(x) ? 0x7fff : Bf16FromFloat(x); }

std::vector<U32> ExpectedConversions(float x, S32 k) {
  const auto wide = static_cast<std::uint64_t>(Clamped<std::int64_t>(std::trunc(x)));
  const auto half = static_cast<std::uint16_t>(k);
  return {
      static_cast<U32>(Clamped<S32>(std::nearbyint(x))),
      static_cast<U32>(Clamped<S32>(std::trunc(x))),
      static_cast<U32>(Clamped<S32>(std::floor(x))),
      static_cast<U32>(Clamped<S32>(std::ceil(x))),
      Clamped<U32>(std::trunc(x)),
      static_cast<U32>(wide),
      static_cast<U32>(wide >> 32),
      Bits(static_cast<float>(k)),
      Bits(static_cast<float>(static_cast<U32>(k))),
      Bits(static_cast<float>(static_cast<std::int8_t>(k))),
      Bits(std::nearbyint(x)),
      Bits(std::floor(x)),
      Bits(std::trunc(x)),
      HalfBits(x),
      BrainBits(x),
      Bits(FloatFromFp16(half)),
      Bits(FloatFromBf16(half)),
  };
}

// What a kernel of floats.cu makes of three arrays: `count` words for each of their numbers.
template <typename T>
std::vector<U32> Results(const char* kernel, int architecture, std::vector<T>& a, std::vector<T>& b,
                         std::vector<T>& c, int count) {
  Module module = LoadKernels("floats", architecture);
  const int n = static_cast<int>(a.size());
  std::vector<U32> results(a.size() * count);
  AddInput(module, a);
  AddInput(module, b);
  AddInput(module, c);
  AddOutput(module, results);
  REQUIRE(module.Launch(kernel, ThreadsFor(n), a.data(), b.data(), c.data(), n, results.data(),
                        count) == absl::OkStatus());
  return results;
}

TEST_CASE("floats of nvcc's PTX are those of C++ at their edges", "[ptx]") {
  std::vector<float> a, b, c;
  for (float x : kEdges) {
    for (float y : kEdges) {
      a.push_back(x);
      b.push_back(y);
      c.push_back(-x * y);  // so that a fused sum has only what a rounded product loses
    }
  }
  const int n = static_cast<int>(a.size());
  const int count = static_cast<int>(ExpectedFloats(1, 1, 1).size());
  for (int architecture : kArchitectures) {
    const std::vector<U32> results = Results("Floats", architecture, a, b, c, count);
    for (int i = 0; i < n; ++i) {
      std::vector<U32> got(results.begin() + i * count, results.begin() + (i + 1) * count);
      for (U32& bits : got) bits = Bits(std::bit_cast<float>(bits));
      INFO(architecture << ": " << a[i] << " and " << b[i]);
      REQUIRE(got == ExpectedFloats(a[i], b[i], c[i]));
    }
  }
}

TEST_CASE("conversions round, saturate and keep NaNs as PTX says", "[ptx]") {
  std::vector<float> a = kEdges;
  std::vector<S32> b;
  for (int i = 0; i < 65536; i += 97) a.push_back(FloatFromFp16(i) * 1.0003f);
  for (std::size_t i = 0; i < a.size(); ++i) b.push_back(static_cast<S32>(i * 2654435761u));
  const int n = static_cast<int>(a.size());
  const int count = static_cast<int>(ExpectedConversions(1, 1).size());
  for (int architecture : kArchitectures) {
    Module module = LoadKernels("floats", architecture);
    std::vector<U32> results(n * count);
    AddInput(module, a);
    AddInput(module, b);
    AddOutput(module, results);
    REQUIRE(module.Launch("Conversions", ThreadsFor(n), a.data(), b.data(), n, results.data(),
                          count) == absl::OkStatus());
    for (int i = 0; i < n; ++i) {
      std::vector<U32> got(results.begin() + i * count, results.begin() + (i + 1) * count);
      std::vector<U32> want = ExpectedConversions(a[i], b[i]);
      for (std::size_t k = count - 2; k < got.size(); ++k) {
        got[k] = Bits(std::bit_cast<float>(got[k]));
      }
      INFO(architecture << ": " << a[i] << " and " << b[i]);
      REQUIRE(got == want);
    }
  }
}

// In `to` and `from` the type; a NaN is one whatever its bits.
struct Format {
  float (*from)(std::uint16_t);
  std::uint16_t (*to)(float);
};

U32 InHalves(const Format& format, U32 a, U32 b, U32 c, float (*operation)(float, float, float)) {
  U32 result = 0;
  for (int shift = 0; shift < 32; shift += 16) {
    const float value =
        operation(format.from(a >> shift & 0xffff), format.from(b >> shift & 0xffff),
                  format.from(c >> shift & 0xffff));
    const U32 bits = std::isnan(value) ? 0x7fff : format.to(value);
    result |= bits << shift;
  }
  return result;
}

std::vector<U32> ExpectedHalves(U32 a, U32 b, U32 c, bool bf16) {
  const Format half{[](std::uint16_t x) { return FloatFromFp16(x); },
                    [](float x) { return Fp16FromFloat(x); }};
  const Format brain{[](std::uint16_t x) { return FloatFromBf16(x); },
                     [](float x) { return Bf16FromFloat(x); }};
  const auto fused = [](float x, float y, float z) {
    // A sum that is exact in double, as the numbers below are: floats round it a second time.
    const double sum = double{x} * y + z;
    const float down = std::nextafter(static_cast<float>(sum), -INFINITY);
    const float near = static_cast<float>(sum);
    const bool odd = std::bit_cast<U32>(near) & 1;
    if (near == sum || odd || !std::isfinite(near)) return near;
    return near > sum ? down : std::nextafter(near, INFINITY);
  };
  std::vector<U32> expected = {
      InHalves(half, a, b, c, [](float x, float y, float) { return x + y; }),
      InHalves(half, a, b, c, [](float x, float y, float) { return x * y; }),
      InHalves(half, a, b, c, fused),
      InHalves(half, a, b, c, [](float x, float y, float) { return std::fmax(x, y); }),
      0,
      0,
  };
  if (bf16) {
    expected[4] = InHalves(brain, a, b, c, fused);
    expected[5] = InHalves(brain, a, b, c, [](float x, float y, float) { return std::fmin(x, y); });
  }
  return expected;
}

TEST_CASE("pairs of 16-bit floats are computed with one rounding", "[ptx]") {
  std::vector<U32> a, b, c;
  U32 state = 1;
  const auto next = [&state] {  // both formats: numbers from about 1/64 to 64 as bf16
    state = state * 1664525 + 1013904223;
    return 0x3c003c00u + (state >> 8 & 0x05ff05ffu) + (state & 0x80000000u);
  };
  for (int i = 0; i < 2000; ++i) {
    a.push_back(next());
    b.push_back(next());
    c.push_back(next());
  }
  a.push_back(0x7e007c00);  // NaN, infinity
  b.push_back(0x3c003c00);
  c.push_back(0x3c00fc00);
  const int n = static_cast<int>(a.size());
  const int count = 6;
  for (int architecture : kArchitectures) {
    const std::vector<U32> results = Results("Halves", architecture, a, b, c, count);
    for (int i = 0; i < n; ++i) {
      const std::vector<U32> got(results.begin() + i * count, results.begin() + (i + 1) * count);
      INFO(architecture << ": " << std::hex << a[i] << " " << b[i] << " " << c[i]);
      REQUIRE(got == ExpectedHalves(a[i], b[i], c[i], architecture >= 80));
    }
  }
}

TEST_CASE("functions that devices approximate are within a millionth", "[ptx]") {
  std::vector<float> a;
  for (int i = -40; i <= 40; ++i) a.push_back(static_cast<float>(i) * 0.3f + 0.01f);
  const int n = static_cast<int>(a.size());
  const int count = 8;
  for (int architecture : kArchitectures) {
    Module module = LoadKernels("floats", architecture);
    std::vector<float> results(n * count);
    AddInput(module, a);
    AddOutput(module, results);
    REQUIRE(module.Launch("Functions", ThreadsFor(n), a.data(), n, results.data(), count) ==
            absl::OkStatus());
    for (int i = 0; i < n; ++i) {
      const double x = a[i];
      const double wanted[count] = {std::exp2(x),
                                    std::exp(x),
                                    std::log2(std::abs(x)),
                                    1 / std::sqrt(std::abs(x)),
                                    std::tanh(x),
                                    1 / x,
                                    std::sin(x),
                                    std::cos(x)};
      for (int k = 0; k < count; ++k) {
        INFO(architecture << ": function " << k << " of " << x);
        REQUIRE(std::abs(results[i * count + k] - wanted[k]) <= 1e-6 * (1 + std::abs(wanted[k])));
      }
    }
  }
}

}  // namespace
}  // namespace fallow::ptx
