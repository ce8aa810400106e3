#include "model/convert_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/float_bits.h"
#include "model/dequantize.h"
#include "model/stored_type.h"

namespace fallow {
namespace {

constexpr float kMaxFp16 = 65504;

// Codes of 4 bits: the first 16 in the low nibbles, the others in the high ones.
void SplitNibbles(const std::uint8_t* bytes, std::uint8_t* codes) {
  for (int i = 0; i < 16; ++i) {
    codes[i] = bytes[i] & 15;
    codes[i + 16] = bytes[i] >> 4;
  }
}

void CopyQ8_0(const std::uint8_t* block, std::int64_t group, const GroupedRow& out) {
  std::memcpy(out.scale + group, block, 2);
  std::uint8_t* codes = out.codes + group * kGroup;
  for (int i = 0; i < kGroup; ++i) codes[i] = block[2 + i] ^ 0x80;  // adds 128 to an int8
}

void CopyQ5_0(const std::uint8_t* block, std::int64_t group, const GroupedRow& out) {
  std::memcpy(out.scale + group, block, 2);
  std::uint32_t fifth_bits;
  std::memcpy(&fifth_bits, block + 2, sizeof(fifth_bits));
  std::uint8_t* codes = out.codes + group * kGroup;
  SplitNibbles(block + 6, codes);
  for (int i = 0; i < kGroup; ++i) codes[i] += ((fifth_bits >> i) & 1) * 16 + 128 - 16;
}

// Q4_0 and IQ4_NL
void CopyFourBits(const std::uint8_t* block, std::int64_t group, const GroupedRow& out) {
  std::memcpy(out.scale + group, block, 2);
  SplitNibbles(block + 2, out.codes + group * kGroup);
}

void CopyQ4_1(const std::uint8_t* block, std::int64_t group, const GroupedRow& out) {
  std::memcpy(out.scale + group, block, 2);
  std::memcpy(out.minimum + group, block + 2, 2);
  SplitNibbles(block + 4, out.codes + group * kGroup);
}

// Eight groups.
void CopyQ4_K(const std::uint8_t* block, std::int64_t first_group, const GroupedRow& out) {
  const float scale = Fp16At(block);
  const float minimum = Fp16At(block + 2);
  const KScales groups = UnpackKScales(block + 4);
  for (int i = 0; i < 8; ++i) {
    const std::int64_t group = first_group + i;
    out.scale[group] = Fp16FromFloat(scale * groups.scale[i]);
    out.minimum[group] = Fp16FromFloat(-(minimum * groups.minimum[i]));
    const std::uint8_t* bytes = block + 16 + i / 2 * 32;
    const int shift = i % 2 * 4;
    std::uint8_t* codes = out.codes + group * kGroup;
    for (int j = 0; j < kGroup; ++j) codes[j] = (bytes[j] >> shift) & 15;
  }
}

template <void (*kCopy)(const std::uint8_t*, std::int64_t, const GroupedRow&)>
void CopyBlocks(StoredType type, const std::uint8_t* row, std::int64_t groups,
                const GroupedRow& out) {
  const int block_groups = BlockElements(type) / kGroup;
  const int block_bytes = BlockBytes(type);
  for (std::int64_t group = 0; group < groups; group += block_groups) {
    kCopy(row + group / block_groups * block_bytes, group, out);
  }
}

// To the nearest integer, ties to even, for |x| < 2^22.
int RoundToInt(float x) {
  constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23
  return static_cast<int>((x + kRounder) - kRounder);
}

bool QuantiseQ8(const float* x, std::uint8_t* codes, std::uint16_t* scale) {
  float largest = 0;
  bool finite = true;
  for (int i = 0; i < kGroup; ++i) {
    finite &= std::abs(x[i]) <= kMaxFp16 * 127;
    largest = std::max(largest, std::abs(x[i]));
  }
  if (!finite) return false;
  *scale = Fp16FromFloat(largest / 127);
  const float rounded = FloatFromFp16(*scale);
  const float inverse = rounded > 0 ? 1 / rounded : 0;
  for (int i = 0; i < kGroup; ++i) {
    const int code = std::clamp(RoundToInt(x[i] * inverse), -127, 127);
    codes[i] = static_cast<std::uint8_t>(code + 128);
  }
  return true;
}

bool QuantiseQ4_1(const float* x, std::uint8_t* codes, std::uint16_t* scale,
                  std::uint16_t* minimum) {
  float least = x[0];
  float most = x[0];
  bool finite = true;
  for (int i = 0; i < kGroup; ++i) {
    finite &= std::abs(x[i]) <= kMaxFp16;
    least = std::min(least, x[i]);
    most = std::max(most, x[i]);
  }
  if (!finite) return false;
  *minimum = Fp16FromFloat(least);
  const float base = FloatFromFp16(*minimum);
  *scale = Fp16FromFloat(std::max(most - base, 0.0f) / 15);
  const float rounded = FloatFromFp16(*scale);
  const float inverse = rounded > 0 ? 1 / rounded : 0;
  for (int i = 0; i < kGroup; ++i) {
    codes[i] = static_cast<std::uint8_t>(std::clamp(RoundToInt((x[i] - base) * inverse), 0, 15));
  }
  return true;
}

}  // namespace

WeightType HeldAs(StoredType type) {
  switch (type) {
    case StoredType::kQ4_0:
      return WeightType::kQ4_0;
    case StoredType::kQ4_1:
    case StoredType::kQ4_K:
      return WeightType::kQ4_1;
    case StoredType::kIQ4_NL:
      return WeightType::kNl4;
    default:
      return WeightType::kQ8;
  }
}

bool KeepsGroups(StoredType type) {
  return type == StoredType::kQ8_0 || type == StoredType::kQ5_0 || HeldAs(type) != WeightType::kQ8;
}

void CopyGroups(StoredType type, std::span<const std::uint8_t> row, std::int64_t groups,
                const GroupedRow& out) {
  switch (type) {
    case StoredType::kQ8_0:
      return CopyBlocks<CopyQ8_0>(type, row.data(), groups, out);
    case StoredType::kQ5_0:
      return CopyBlocks<CopyQ5_0>(type, row.data(), groups, out);
    case StoredType::kQ4_1:
      return CopyBlocks<CopyQ4_1>(type, row.data(), groups, out);
    case StoredType::kQ4_K:
      return CopyBlocks<CopyQ4_K>(type, row.data(), groups, out);
    default:
      return CopyBlocks<CopyFourBits>(type, row.data(), groups, out);
  }
}

bool QuantiseRow(WeightType type, const float* x, std::int64_t groups, const GroupedRow& out) {
  bool fits = true;
  for (std::int64_t group = 0; group < groups; ++group) {
    const float* values = x + group * kGroup;
    std::uint8_t* codes = out.codes + group * kGroup;
    fits &= type == WeightType::kQ8
                ? QuantiseQ8(values, codes, out.scale + group)
                : QuantiseQ4_1(values, codes, out.scale + group, out.minimum + group);
  }
  return fits;
}

}  // namespace fallow
