// Weight matrices: as a checkpoint gives them, and packed for the kernels.
//
// A panel is 16 output rows. Its bytes are 64-byte slices; a slice holds 4 bytes of consecutive k
// for each of the 16 rows: 1 float, 2 bf16, 4 int8 codes, or 8 four-bit codes (low nibbles k..k+3,
// high nibbles k+4..k+7). Quantised panels hold, per 64 k, the fp16 scales of 2 groups x 16 rows
// (64 bytes), for q4_1 the minima likewise (64 bytes more), then the slices. So 16 rows are 16
// lanes, sums never cross lanes, and everything is aligned to cache lines. K is padded to a
// multiple of 64 and rows to a multiple of 16, with zeros.
//
//   bytes per panel   fp32 64 k   bf16 32 k   q8 17 k   q4_0, nl4 9 k   q4_1 10 k
#pragma once

#include <cstdint>
#include <vector>

#include "base/range.h"
#include "kernels/numeric.h"

namespace fallow {

// The name of this layout in files. A change of the layout changes it.
inline constexpr char kPanelLayout[] = "panels-1";

// Row-major and unpacked. One of the vectors is filled, by `type`.
struct WeightRows {
  WeightType type = WeightType::kFp32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;               // for quantised types a multiple of 32
  std::vector<float> values;           // kFp32 [rows, cols]
  std::vector<std::uint16_t> bf16;     // kBf16 [rows, cols]
  std::vector<std::uint8_t> codes;     // quantised [rows, cols], one code a byte
  std::vector<std::uint16_t> scale;    // quantised [rows, cols / 32], fp16 bits
  std::vector<std::uint16_t> minimum;  // kQ4_1     [rows, cols / 32], fp16 bits
};

// A view of a packed matrix; the memory is the back end's.
struct Panels {
  WeightType type = WeightType::kFp32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  const std::uint8_t* data = nullptr;

  std::int64_t count() const { return (rows + kPanelRows - 1) / kPanelRows; }
  std::int64_t panel_bytes() const;
  std::int64_t bytes() const { return count() * panel_bytes(); }
};

// Bytes of a packed matrix; `data` of Panels is ignored.
std::int64_t PackedBytes(WeightType type, std::int64_t rows, std::int64_t cols);

// Writes the panels of a range to their place in `out`, which has PackedBytes(...), aligned to 64.
void PackPanels(const WeightRows& weight, Range panels, std::uint8_t* out);

// One row of a packed matrix as floats, as the definition of its type gives them (no rounding but
// the float operations written there). out [cols]
void UnpackRow(const Panels& panels, std::int64_t row, float* out);

}  // namespace fallow
