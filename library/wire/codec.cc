#include "wire/codec.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace fallow {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::int64_t kGroup = 32;              // numbers that share a scale
constexpr std::uint32_t kTooLarge = 0x53800000;  // the bits of 2^40; those of a NaN are more

std::int64_t Groups(std::int64_t hidden_size) { return (hidden_size + kGroup - 1) / kGroup; }

std::uint32_t Magnitude(float x) { return std::bit_cast<std::uint32_t>(x) & 0x7fffffff; }

bool AllSmall(const float* x, std::int64_t n) {
  std::uint32_t largest = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    largest = std::max(largest, Magnitude(x[i]));
  }
  return largest < kTooLarge;
}

void EncodeBf16(const float* x, std::int64_t n, char* out) {
  for (std::int64_t i = 0; i < n; ++i) {
    const auto half = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x[i]) >> 16);
    std::memcpy(out + 2 * i, &half, sizeof(half));
  }
}

void DecodeBf16(const char* bytes, std::int64_t n, float* x) {
  for (std::int64_t i = 0; i < n; ++i) {
    std::uint16_t half;
    std::memcpy(&half, bytes + 2 * i, sizeof(half));
    x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
  }
}

// To the nearest integer, ties to even, where |x| < 2^22.
float RoundToInteger(float x) {
  constexpr float kUnit = 12582912;  // 1.5 * 2^23: sums have no bits for fractions
  return (x + kUnit) - kUnit;
}

// Writes the codes of x = scale * code. False if these are not the numbers that `scale` gave.
bool EncodeWithScale(const float* x, std::int64_t n, float scale, char* codes) {
  bool exact = true;
  for (std::int64_t i = 0; i < n; ++i) {
    const float code = RoundToInteger(x[i] / scale);
    exact = exact & (scale * code == x[i]);
    codes[i] = static_cast<char>(static_cast<std::int8_t>(code));
  }
  return exact;
}

// Finds the scale again. The largest number is 127 times it, rounded: dividing gives the scale or
// one of its neighbours, and all numbers of the group together show which.
float EncodeGroup(const float* x, std::int64_t n, char* codes) {
  std::uint32_t largest = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    largest = std::max(largest, Magnitude(x[i]));
  }
  if (largest == 0) {
    std::memset(codes, 0, static_cast<std::size_t>(n));
    return 0;
  }
  const float middle = std::bit_cast<float>(largest) / 127;
  const float below = std::nextafter(middle, 0.0f);
  const float above = std::nextafter(middle, 2 * middle);
  for (const float scale : {middle, below, above}) {
    if (EncodeWithScale(x, n, scale, codes)) {
      return scale;
    }
  }
  assert(false && "the rows were not rounded to int8");
  EncodeWithScale(x, n, middle, codes);
  return middle;
}

void EncodeInt8(const float* x, std::int64_t n, char* out) {
  char* const codes = out + Groups(n) * static_cast<std::int64_t>(sizeof(float));
  for (std::int64_t begin = 0; begin < n; begin += kGroup) {
    const float scale = EncodeGroup(x + begin, std::min(kGroup, n - begin), codes + begin);
    std::memcpy(out + begin / kGroup * 4, &scale, sizeof(scale));
  }
}

void DecodeInt8(const char* bytes, std::int64_t n, float* x) {
  const char* const codes = bytes + Groups(n) * static_cast<std::int64_t>(sizeof(float));
  for (std::int64_t i = 0; i < n; ++i) {
    float scale;
    std::memcpy(&scale, bytes + i / kGroup * 4, sizeof(scale));
    x[i] = scale * static_cast<float>(static_cast<std::int8_t>(codes[i]));
  }
}

}  // namespace

WireFormat WireFormatOf(std::string_view numeric_class) {
  const std::vector<std::string> parts = absl::StrSplit(std::string(numeric_class), '+');
  if (std::find(parts.begin() + 1, parts.end(), "r8") != parts.end()) {
    return WireFormat::kInt8;
  }
  return parts.front() == "fp32" ? WireFormat::kFp32 : WireFormat::kBf16;
}

std::int64_t RowBytes(WireFormat format, std::int64_t hidden_size) {
  switch (format) {
    case WireFormat::kFp32:
      return 4 * hidden_size;
    case WireFormat::kBf16:
      return 2 * hidden_size;
    case WireFormat::kInt8:
      return 4 * Groups(hidden_size) + hidden_size;
  }
  return 0;
}

void EncodeRows(WireFormat format, const float* hidden, std::int64_t rows, std::int64_t hidden_size,
                std::string& out) {
  const std::int64_t row_bytes = RowBytes(format, hidden_size);
  if (rows * row_bytes == 0) {
    return;
  }
  const std::size_t begin = out.size();
  out.resize(begin + static_cast<std::size_t>(rows * row_bytes));
  char* const to = out.data() + begin;
  switch (format) {
    case WireFormat::kFp32:
      std::memcpy(to, hidden, static_cast<std::size_t>(rows * row_bytes));
      return;
    case WireFormat::kBf16:
      EncodeBf16(hidden, rows * hidden_size, to);
      return;
    case WireFormat::kInt8:
      for (std::int64_t row = 0; row < rows; ++row) {
        EncodeInt8(hidden + row * hidden_size, hidden_size, to + row * row_bytes);
      }
      return;
  }
}

absl::Status DecodeRows(WireFormat format, std::string_view bytes, std::int64_t rows,
                        std::int64_t hidden_size, float* hidden) {
  const std::int64_t row_bytes = RowBytes(format, hidden_size);
  const auto size = static_cast<std::int64_t>(bytes.size());
  if (rows < 0 || (rows > 0 && size / rows != row_bytes) || size != rows * row_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("rows: ", size, " bytes, expected ", rows, " rows of ", row_bytes));
  }
  if (size == 0) {
    return absl::OkStatus();
  }
  switch (format) {
    case WireFormat::kFp32:
      std::memcpy(hidden, bytes.data(), bytes.size());
      break;
    case WireFormat::kBf16:
      DecodeBf16(bytes.data(), rows * hidden_size, hidden);
      break;
    case WireFormat::kInt8:
      for (std::int64_t row = 0; row < rows; ++row) {
        DecodeInt8(bytes.data() + row * row_bytes, hidden_size, hidden + row * hidden_size);
      }
      break;
  }
  if (!AllSmall(hidden, rows * hidden_size)) {
    return absl::InvalidArgumentError("rows: a number is NaN or of magnitude 2^40 or more");
  }
  return absl::OkStatus();
}

}  // namespace fallow
