#include "kernels/cuda/device_pass.h"

#include <algorithm>

#include "base/status_macros.h"

namespace fallow::cuda {

absl::StatusOr<bool> GrowingBuffer::Reserve(std::int64_t bytes) {
  if (memory_ && memory_->size() >= bytes) return false;
  const std::int64_t now = memory_ ? memory_->size() : 0;
  memory_.reset();
  FALLOW_ASSIGN_OR_RETURN(memory_, allocate_(std::max(bytes, 2 * now)));
  return true;
}

absl::StatusOr<bool> DevicePass::Send(std::span<const SequenceRun> runs, std::int64_t count) {
  list_.clear();
  ids_.clear();
  positions_ = 0;
  std::int64_t pages = 0;
  for (const SequenceRun& run : runs) pages += PagesOf(run);
  FALLOW_ASSIGN_OR_RETURN(const bool moved_ids,
                          page_ids_.Reserve(pages * std::int64_t{sizeof(std::int32_t)}));
  const auto* ids = reinterpret_cast<const std::int32_t*>(page_ids_.data());
  for (const SequenceRun& run : runs) {
    for (std::int64_t i = 0; i < run.rows; ++i) {
      list_.push_back({run.first_row + i, run.position + i, ids + ids_.size()});
    }
    ids_.insert(ids_.end(), run.pages, run.pages + PagesOf(run));
    positions_ = std::max(positions_, run.position + run.rows);
  }
  while (std::ssize(list_) < count) list_.push_back({.row = std::ssize(list_), .position = -1});
  count_ = std::ssize(list_);
  const auto bytes = static_cast<std::int64_t>(list_.size() * sizeof(PassRow));
  FALLOW_ASSIGN_OR_RETURN(const bool moved_rows, rows_.Reserve(bytes));
  FALLOW_RETURN_IF_ERROR(
      staging_.ToDevice(page_ids_.data(), ids_.data(), pages * std::int64_t{sizeof(std::int32_t)}));
  FALLOW_RETURN_IF_ERROR(staging_.ToDevice(rows_.data(), list_.data(), bytes));
  return moved_ids || moved_rows;
}

}  // namespace fallow::cuda
