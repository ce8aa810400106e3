#include "kernels/attention/kv_page.h"

#include <algorithm>

namespace fallow {
namespace {

// Keys and values take the same room in every format.
std::int64_t HalfPageBytes(const KvLayout& layout) {
  const std::int64_t dims = layout.padded_dim();
  switch (layout.format) {
    case KvFormat::kFp32:
      return dims * kPagePositions * 4;
    case KvFormat::kBf16:
      return dims * kPagePositions * 2;
    case KvFormat::kQ8:
      return dims / kKeyBlock * kKeyBlockBytes;
  }
  return 0;
}

}  // namespace

std::int64_t KvLayout::key_bytes() const { return HalfPageBytes(*this); }

std::int64_t KvLayout::value_bytes() const { return HalfPageBytes(*this); }

std::int64_t KvLayout::key_offset(int position, int dim) const {
  switch (format) {
    case KvFormat::kFp32:
      return (dim * kPagePositions + position) * 4;
    case KvFormat::kBf16:
      return dim / 2 * 64 + position * 4 + dim % 2 * 2;
    case KvFormat::kQ8:
      return dim / kKeyBlock * kKeyBlockBytes + kKeyScaleBytes + dim % kKeyBlock / 4 * 64 +
             position * 4 + dim % 4;
  }
  return 0;
}

std::int64_t KvLayout::value_offset(int position, int dim) const {
  switch (format) {
    case KvFormat::kFp32:
      return key_bytes() + (position * padded_dim() + dim) * 4;
    case KvFormat::kBf16:
      return key_bytes() + dim / 16 * 512 + position / 2 * 64 + dim % 16 * 4 + position % 2 * 2;
    case KvFormat::kQ8:
      return key_bytes() + position * padded_dim() + dim;
  }
  return 0;
}

std::int64_t KvLayout::key_scale_offset(int position, int group) const {
  return group / 2 * kKeyBlockBytes + group % 2 * 32 + position * 2;
}

std::int64_t KvLayout::value_scale_offset(int position, int group) const {
  return key_bytes() + kPagePositions * padded_dim() + group * 32 + position * 2;
}

std::int64_t PagesOf(const SequenceRun& run) {
  return (run.position + run.rows + kPagePositions - 1) / kPagePositions;
}

Range RowsOfRun(const SequenceRun& run, Range rows) {
  const std::int64_t begin = std::clamp<std::int64_t>(rows.begin - run.first_row, 0, run.rows);
  const std::int64_t end = std::clamp<std::int64_t>(rows.end - run.first_row, begin, run.rows);
  return {begin, end};
}

}  // namespace fallow
