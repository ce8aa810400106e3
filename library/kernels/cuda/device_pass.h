// The rows of a pass and their page ids in a device's memory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/attention/pass_rows.h"
#include "kernels/backend.h"
#include "kernels/cuda/staging.h"

namespace fallow::cuda {

// A buffer that is replaced by a larger one when need be. Its contents are lost then.
class GrowingBuffer {
 public:
  using Allocate = std::function<absl::StatusOr<std::shared_ptr<Buffer>>(std::int64_t bytes)>;
  explicit GrowingBuffer(Allocate allocate) : allocate_(std::move(allocate)) {}

  // Whether it was replaced.
  absl::StatusOr<bool> Reserve(std::int64_t bytes);
  std::uint8_t* data() const { return memory_ ? memory_->data() : nullptr; }

 private:
  Allocate allocate_;
  std::shared_ptr<Buffer> memory_;
};

class DevicePass {
 public:
  // Borrows `staging`.
  DevicePass(Staging& staging, const GrowingBuffer::Allocate& allocate)
      : staging_(staging), rows_(allocate), page_ids_(allocate) {}

  // Enqueues the copy of the runs' rows and as many idle ones as make it `count`. Whether they lie
  // elsewhere than those of the pass before.
  absl::StatusOr<bool> Send(std::span<const SequenceRun> runs, std::int64_t count);

  std::int64_t positions() const { return positions_; }  // of the longest sequence
  const PassRow* rows() const { return reinterpret_cast<const PassRow*>(rows_.data()); }
  std::int64_t count() const { return count_; }

 private:
  Staging& staging_;
  GrowingBuffer rows_;
  GrowingBuffer page_ids_;
  std::int64_t count_ = 0;
  std::int64_t positions_ = 0;
  // Of the pass; kept to be reused.
  std::vector<PassRow> list_;
  std::vector<std::int32_t> ids_;
};

}  // namespace fallow::cuda
