#include "wire/codec.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "catch2/catch_test_macros.hpp"

namespace fallow {
namespace {

constexpr WireFormat kFormats[] = {WireFormat::kFp32, WireFormat::kBf16, WireFormat::kInt8};

float RoundToBf16(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  return std::bit_cast<float>((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000);
}

// As the exact class defines it: groups of 32, the largest becomes 127.
void RoundRowToInt8(float* x, std::int64_t n) {
  for (std::int64_t begin = 0; begin < n; begin += 32) {
    const std::int64_t end = std::min(n, begin + 32);
    float largest = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      largest = std::max(largest, std::abs(x[i]));
    }
    const float scale = largest < 0x1p-60f ? 0 : largest / 127;
    const float inverse = largest < 0x1p-60f ? 0 : 127 / largest;
    for (std::int64_t i = begin; i < end; ++i) {
      x[i] = scale * std::nearbyint(x[i] * inverse);
    }
  }
}

std::vector<float> RandomRows(WireFormat format, std::int64_t rows, std::int64_t hidden_size,
                              std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int> exponent(-70, 30);
  std::vector<float> x(static_cast<std::size_t>(rows * hidden_size));
  float scale = 1;
  for (std::size_t i = 0; i < x.size(); ++i) {
    scale = i % 32 == 0 ? std::ldexp(1.0f, exponent(random)) : scale;
    x[i] = normal(random) * scale;
    x[i] = format == WireFormat::kBf16 ? RoundToBf16(x[i]) : x[i];
  }
  for (std::int64_t row = 0; format == WireFormat::kInt8 && row < rows; ++row) {
    RoundRowToInt8(x.data() + row * hidden_size, hidden_size);
  }
  return x;
}

TEST_CASE("a numeric class says how rows are sent", "[wire][codec]") {
  CHECK(WireFormatOf("fp32") == WireFormat::kFp32);
  CHECK(WireFormatOf("fp32+kv8") == WireFormat::kFp32);
  CHECK(WireFormatOf("bf16") == WireFormat::kBf16);
  CHECK(WireFormatOf("exact-1+q8") == WireFormat::kBf16);
  CHECK(WireFormatOf("exact-1+r8") == WireFormat::kInt8);
  CHECK(WireFormatOf("bf16+r8+kv8") == WireFormat::kInt8);
  CHECK(WireFormatOf("bf16+r80") == WireFormat::kBf16);
  CHECK(RowBytes(WireFormat::kFp32, 100) == 400);
  CHECK(RowBytes(WireFormat::kBf16, 100) == 200);
  CHECK(RowBytes(WireFormat::kInt8, 100) == 4 * 4 + 100);
}

TEST_CASE("decoded rows are the encoded ones, bit for bit", "[wire][codec]") {
  for (const WireFormat format : kFormats) {
    for (const std::int64_t hidden_size : {1, 31, 32, 33, 64, 100, 2048}) {
      for (const std::int64_t rows : {0, 1, 3, 40}) {
        CAPTURE(static_cast<int>(format), hidden_size, rows);
        const auto x = RandomRows(format, rows, hidden_size, static_cast<std::uint32_t>(rows + 7));
        std::string bytes = "before";
        EncodeRows(format, x.data(), rows, hidden_size, bytes);
        REQUIRE(bytes.substr(0, 6) == "before");
        bytes.erase(0, 6);
        REQUIRE(static_cast<std::int64_t>(bytes.size()) == rows * RowBytes(format, hidden_size));
        std::vector<float> y(x.size(), -1);
        REQUIRE(DecodeRows(format, bytes, rows, hidden_size, y.data()).ok());
        bool same = true;
        for (std::size_t i = 0; i < x.size(); ++i) {
          same = same &&
                 (format == WireFormat::kInt8  // where -0 becomes 0
                      ? x[i] == y[i]
                      : std::bit_cast<std::uint32_t>(x[i]) == std::bit_cast<std::uint32_t>(y[i]));
        }
        CHECK(same);
      }
    }
  }
}

TEST_CASE("the scale of int8 groups is found again for every mantissa", "[wire][codec]") {
  std::mt19937 random(1);
  std::vector<float> x(32), y(32);
  for (std::uint32_t mantissa = 0; mantissa < (1u << 23); mantissa += 97) {
    for (float& number : x) {
      number = std::ldexp(static_cast<float>(random() % 2001) - 1000, -14);
    }
    x[random() % 32] = std::bit_cast<float>(0x3f800000 | mantissa);  // in [1, 2): the largest
    RoundRowToInt8(x.data(), 32);
    std::string bytes;
    EncodeRows(WireFormat::kInt8, x.data(), 1, 32, bytes);
    REQUIRE(DecodeRows(WireFormat::kInt8, bytes, 1, 32, y.data()).ok());
    REQUIRE(x == y);
  }
}

TEST_CASE("rows of another size are refused", "[wire][codec]") {
  std::vector<float> y(1000);
  for (const WireFormat format : kFormats) {
    const auto size = static_cast<std::size_t>(RowBytes(format, 64));
    for (const std::size_t wrong : {std::size_t{0}, size - 1, size + 1, 3 * size}) {
      CHECK(DecodeRows(format, std::string(wrong, '\0'), 2, 64, y.data()).code() ==
            absl::StatusCode::kInvalidArgument);
    }
    CHECK(DecodeRows(format, std::string(size, '\0'), 0, 64, y.data()).code() ==
          absl::StatusCode::kInvalidArgument);
    CHECK(DecodeRows(format, std::string(size, '\0'), -1, 64, y.data()).code() ==
          absl::StatusCode::kInvalidArgument);
    CHECK(DecodeRows(format, "", std::numeric_limits<std::int64_t>::max() / 128, 64, y.data())
              .code() == absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("rows with a NaN or a number that is too large are refused", "[wire][codec]") {
  const float kBad[] = {NAN, -NAN, INFINITY, -INFINITY, 0x1p40f, -0x1p40f, 0x1.8p100f};
  constexpr std::int64_t kHidden = 40;
  for (const WireFormat format : kFormats) {
    for (const float bad : kBad) {
      for (const std::int64_t at : {0, 31, 32, 39, 79}) {
        std::vector<float> x(2 * kHidden, 1.0f), y(2 * kHidden);
        std::string bytes;
        EncodeRows(format, x.data(), 2, kHidden, bytes);
        const auto overwrite = [&](std::int64_t offset, auto number) {
          std::memcpy(bytes.data() + offset, &number, sizeof(number));
        };
        switch (format) {
          case WireFormat::kFp32:
            overwrite(4 * at, bad);
            break;
          case WireFormat::kBf16:
            overwrite(2 * at, static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(bad) >> 16));
            break;
          case WireFormat::kInt8:  // a group's scale; codes are 127
            overwrite(at / kHidden * RowBytes(format, kHidden) + at % kHidden / 32 * 4, bad);
            break;
        }
        CAPTURE(static_cast<int>(format), bad, at);
        CHECK(DecodeRows(format, bytes, 2, kHidden, y.data()).code() ==
              absl::StatusCode::kInvalidArgument);
      }
    }
    std::vector<float> largest(kHidden, format == WireFormat::kInt8 ? 0x1p39f : -0x1.fep39f);
    std::string bytes;
    EncodeRows(format, largest.data(), 1, kHidden, bytes);
    CHECK(DecodeRows(format, bytes, 1, kHidden, largest.data()).ok());
  }
}

}  // namespace
}  // namespace fallow
