// Reads single numbers out of packed panels, for the definitions and whoever needs no speed.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/float_bits.h"
#include "kernels/matmul/panel.h"
#include "kernels/matmul/panel_layout.h"

namespace fallow {

// One row of a packed matrix.
class PanelRow {
 public:
  PanelRow(const Panels& panels, std::int64_t row)
      : type_(panels.type),
        panel_(panels.data + row / kPanelRows * panels.panel_bytes()),
        lane_(static_cast<int>(row % kPanelRows)) {}

  // Of kFp32 and kBf16.
  float value(std::int64_t k) const {
    const std::uint8_t* at = panel_ + ValueOffset(type_, k, lane_);
    return type_ == WeightType::kFp32 ? Read<float>(at) : FloatFromBf16(Read<std::uint16_t>(at));
  }

  // Of quantised types: the integer that the code stands for, and what its group has.
  int code(std::int64_t k) const {
    const auto [offset, shift] = PlaceOfCode(type_, k, lane_);
    if (type_ == WeightType::kQ8) return panel_[offset] - ZeroPoint(type_);
    const int nibble = panel_[offset] >> shift & 15;
    return type_ == WeightType::kNl4 ? kNl4Codebook[nibble] : nibble - ZeroPoint(type_);
  }
  float scale(std::int64_t group) const {
    return FloatFromFp16(Read<std::uint16_t>(panel_ + ScaleOffset(type_, group, lane_)));
  }
  float minimum(std::int64_t group) const {  // 0 where the type has none
    if (type_ != WeightType::kQ4_1) return 0;
    const std::uint8_t* at = panel_ + ScaleOffset(type_, group, lane_) + kSliceBytes;
    return FloatFromFp16(Read<std::uint16_t>(at));
  }

 private:
  template <typename T>
  static T Read(const std::uint8_t* p) {
    T value;
    std::memcpy(&value, p, sizeof value);
    return value;
  }

  WeightType type_;
  const std::uint8_t* panel_;
  int lane_;
};

}  // namespace fallow
