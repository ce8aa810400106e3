// Where keys and values lie: pages of 16 positions.
//
// A page holds 16 positions of one sequence in every block of a span. Within it, per block and kv
// head, lies one head page: keys, then values, for 16 positions. D is head_dim rounded up to 64;
// the elements beyond head_dim are zero.
//
//   kFp32  keys  [D][16 positions] float          values [16 positions][D] float
//   kBf16  keys  panel of 16 positions: [D/2] slices of 64 bytes, 2 dims x 16 positions
//          values panels of 16 dims: [D/16][8] slices, 2 positions x 16 dims
//   kQ8    keys  per 64 dims: 2 x 16 bf16 scales (64 bytes), then 16 slices of 4 dims x 16
//                positions, code + 128          (so a key page is a q8 weight panel)
//          values [16 positions][D] int8, then [D/32][16 positions] bf16 scales
#pragma once

#include <cstdint>

#include "base/range.h"

namespace fallow {

inline constexpr int kPagePositions = 16;
inline constexpr int kKeyBlock = 64;  // dims of a kQ8 key block
inline constexpr int kKeyScaleBytes = 64;
inline constexpr int kKeyBlockBytes = kKeyScaleBytes + kKeyBlock * kPagePositions;

enum class KvFormat : std::uint8_t { kFp32, kBf16, kQ8 };

struct KvLayout {
  KvFormat format = KvFormat::kFp32;
  int blocks = 0;  // of the span
  int kv_heads = 0;
  int head_dim = 0;

  int padded_dim() const { return (head_dim + 63) / 64 * 64; }
  std::int64_t key_bytes() const;    // of one head page
  std::int64_t value_bytes() const;  // likewise
  std::int64_t head_bytes() const { return key_bytes() + value_bytes(); }

  // Bytes from the start of a head page to one number of a position (its place in the page).
  std::int64_t key_offset(int position, int dim) const;
  std::int64_t value_offset(int position, int dim) const;
  std::int64_t key_scale_offset(int position, int group) const;  // kQ8 alone
  std::int64_t value_scale_offset(int position, int group) const;

  std::int64_t block_bytes() const { return head_bytes() * kv_heads; }
  std::int64_t page_bytes() const { return block_bytes() * blocks; }
};

// Rows of one sequence in a pass: `rows` consecutive positions, from `position` on.
struct SequenceRun {
  std::int64_t first_row = 0;  // in the pass
  std::int64_t rows = 0;
  std::int64_t position = 0;            // of the first row
  const std::int32_t* pages = nullptr;  // page ids of positions [0, position + rows)
};

// How many page ids a run has.
std::int64_t PagesOf(const SequenceRun& run);

// The rows of a run that lie in `rows` of the pass, counted from the run's first; may be empty.
Range RowsOfRun(const SequenceRun& run, Range rows);

// The pages of one block, for all runs of a pass.
struct KvView {
  KvLayout layout = {};
  std::uint8_t* pool = nullptr;  // page p begins at pool + p * layout.page_bytes()
  int block = 0;                 // from the span's first

  std::uint8_t* head_page(std::int32_t page, int kv_head) const {
    return pool + page * layout.page_bytes() + block * layout.block_bytes() +
           kv_head * layout.head_bytes();
  }
};

}  // namespace fallow
