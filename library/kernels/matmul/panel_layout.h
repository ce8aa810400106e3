// Where a number lies in a packed panel (panel.h says why it lies there).
#pragma once

#include <cstdint>

#include "kernels/float_bits.h"
#include "kernels/numeric.h"

namespace fallow {

inline constexpr int kSliceBytes = 64;
inline constexpr int kBlockK = 64;  // a quantised panel's blocks: a header, then the codes of 64 k

// Bytes of scales, and of minima where the type has them, before a block's codes.
static constexpr FALLOW_INLINE int HeaderBytes(WeightType type) {
  return type == WeightType::kQ4_1 ? 2 * kSliceBytes : kSliceBytes;
}

// Bytes of the codes of one group of 32 k for 16 rows.
static constexpr FALLOW_INLINE int GroupBytes(WeightType type) {
  return type == WeightType::kQ8 ? 512 : 256;
}

static constexpr FALLOW_INLINE int BlockBytes(WeightType type) {
  return HeaderBytes(type) + 2 * GroupBytes(type);
}

// What is subtracted from a stored code. The codebook of kNl4 is kept with 128 added, so that all
// codes are unsigned bytes.
static constexpr FALLOW_INLINE int ZeroPoint(WeightType type) {
  if (type == WeightType::kQ4_0) return 8;
  return type == WeightType::kQ4_1 ? 0 : 128;
}

static constexpr FALLOW_INLINE std::int64_t PanelBytes(WeightType type, std::int64_t k) {
  switch (type) {
    case WeightType::kFp32:
      return PaddedK(k) * kSliceBytes;
    case WeightType::kBf16:
      return PaddedK(k) / 2 * kSliceBytes;
    default:
      return PaddedK(k) / kBlockK * BlockBytes(type);
  }
}

// Byte of a panel at which the float or bf16 of `lane` (row within the panel) at `k` begins.
static constexpr FALLOW_INLINE std::int64_t ValueOffset(WeightType type, std::int64_t k, int lane) {
  if (type == WeightType::kFp32) return k * kSliceBytes + lane * 4;
  return k / 2 * kSliceBytes + lane * 4 + k % 2 * 2;
}

// The fp16 scale of a group; its minimum, if any, lies kSliceBytes further on.
static constexpr FALLOW_INLINE std::int64_t ScaleOffset(WeightType type, std::int64_t group,
                                                        int lane) {
  return group / 2 * BlockBytes(type) + group % 2 * 32 + lane * 2;
}

struct CodePlace {
  std::int64_t offset;
  int shift;  // of a four-bit code within its byte; 0 for a code of eight
};

static constexpr FALLOW_INLINE CodePlace PlaceOfCode(WeightType type, std::int64_t k, int lane) {
  const std::int64_t codes =
      k / kBlockK * BlockBytes(type) + HeaderBytes(type) + k % kBlockK / kGroup * GroupBytes(type);
  const std::int64_t i = k % kGroup;
  if (type == WeightType::kQ8) return {codes + i / 4 * kSliceBytes + lane * 4 + i % 4, 0};
  return {codes + i / 8 * kSliceBytes + lane * 4 + i % 4, i % 8 < 4 ? 0 : 4};
}

}  // namespace fallow
