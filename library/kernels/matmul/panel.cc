#include "kernels/matmul/panel.h"

#include <algorithm>
#include <cstring>

#include "kernels/exact_math.h"
#include "kernels/matmul/panel_layout.h"
#include "kernels/matmul/panel_reader.h"

namespace fallow {
namespace {

void PackValues(const WeightRows& weight, std::int64_t row, std::uint8_t* panel) {
  const int lane = static_cast<int>(row % kPanelRows);
  for (std::int64_t k = 0; k < weight.cols; ++k) {
    std::uint8_t* at = panel + ValueOffset(weight.type, k, lane);
    const std::size_t from = static_cast<std::size_t>(row * weight.cols + k);
    if (weight.type == WeightType::kFp32) {
      std::memcpy(at, &weight.values[from], sizeof(float));
    } else {
      std::memcpy(at, &weight.bf16[from], sizeof(std::uint16_t));
    }
  }
}

void PackScales(const WeightRows& weight, std::int64_t row, std::uint8_t* panel) {
  const int lane = static_cast<int>(row % kPanelRows);
  const std::int64_t groups = weight.cols / kGroup;
  for (std::int64_t group = 0; group < groups; ++group) {
    std::uint8_t* at = panel + ScaleOffset(weight.type, group, lane);
    const std::size_t from = static_cast<std::size_t>(row * groups + group);
    std::memcpy(at, &weight.scale[from], sizeof(std::uint16_t));
    if (weight.type == WeightType::kQ4_1) {
      std::memcpy(at + kSliceBytes, &weight.minimum[from], sizeof(std::uint16_t));
    }
  }
}

void PackCodes(const WeightRows& weight, std::int64_t row, std::uint8_t* panel) {
  const int lane = static_cast<int>(row % kPanelRows);
  const std::uint8_t* codes = weight.codes.data() + row * weight.cols;
  for (std::int64_t k = 0; k < weight.cols; ++k) {
    const auto [offset, shift] = PlaceOfCode(weight.type, k, lane);
    panel[offset] = static_cast<std::uint8_t>(panel[offset] | codes[k] << shift);
  }
}

}  // namespace

std::int64_t Panels::panel_bytes() const { return PanelBytes(type, cols); }

std::int64_t PackedBytes(WeightType type, std::int64_t rows, std::int64_t cols) {
  return Panels{.type = type, .rows = rows, .cols = cols}.bytes();
}

void PackPanels(const WeightRows& weight, Range panels, std::uint8_t* out) {
  const std::int64_t panel_bytes = PanelBytes(weight.type, weight.cols);
  for (std::int64_t i = panels.begin; i < panels.end; ++i) {
    std::uint8_t* panel = out + i * panel_bytes;
    std::memset(panel, 0, static_cast<std::size_t>(panel_bytes));
    const std::int64_t end = std::min((i + 1) * kPanelRows, weight.rows);
    for (std::int64_t row = i * kPanelRows; row < end; ++row) {
      if (IsQuantised(weight.type)) {
        PackScales(weight, row, panel);
        PackCodes(weight, row, panel);
      } else {
        PackValues(weight, row, panel);
      }
    }
  }
}

void UnpackRow(const Panels& panels, std::int64_t row, float* out) {
  const PanelRow weight(panels, row);
  if (!IsQuantised(panels.type)) {
    for (std::int64_t k = 0; k < panels.cols; ++k) out[k] = weight.value(k);
    return;
  }
  for (std::int64_t k = 0; k < panels.cols; ++k) {
    const float code = static_cast<float>(weight.code(k));
    const float scale = weight.scale(k / kGroup);
    const bool has_minimum = panels.type == WeightType::kQ4_1;
    out[k] = has_minimum ? exact::Fma(code, scale, weight.minimum(k / kGroup)) : code * scale;
  }
}

}  // namespace fallow
