// Consecutive transformer blocks on one back end: the part of a model that a server holds.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "fallow/model_spec.h"
#include "kernels/backend.h"
#include "model/kv_cache.h"
#include "model/packed_file.h"
#include "model/weights.h"

namespace fallow {

// Consecutive rows of one sequence in a pass.
struct PassRun {
  KvCache::SequenceId sequence = 0;
  std::int64_t position = 0;  // of the first row; the sequence holds exactly this many positions
  std::int64_t rows = 0;
};

// A device that blocks may lie on, and the bytes of packed weights that it should hold at most.
struct SpanDevice {
  Backend* backend = nullptr;
  std::int64_t weight_bytes = 0;  // does not matter for the last device
};

class BlockSpan {
 public:
  // Reads and packs the blocks' weights, or takes those that `packed` has. `max_rows`: the most
  // rows of one pass. Devices are filled in order; what finds no room elsewhere is the last's.
  static absl::StatusOr<std::unique_ptr<BlockSpan>> Load(
      const Checkpoint& checkpoint, const Family& family, const ModelSpec& spec, BlockRange blocks,
      const NumericClass& numeric_class, std::int64_t max_rows, std::span<const SpanDevice> devices,
      const PackedModel& packed = {});

  // All on one device.
  static absl::StatusOr<std::unique_ptr<BlockSpan>> Load(const Checkpoint& checkpoint,
                                                         const Family& family,
                                                         const ModelSpec& spec, BlockRange blocks,
                                                         const NumericClass& numeric_class,
                                                         std::int64_t max_rows, Backend& backend,
                                                         const PackedModel& packed = {});
  ~BlockSpan();

  BlockRange blocks() const;
  std::int64_t max_rows() const;
  std::int64_t weight_bytes() const;  // packed
  KvLayout kv_layout() const;
  std::vector<KvPlace> kv_places() const;

  // Runs rows through `blocks` (some of the span's; empty: all), in place, and appends their keys
  // and values to `cache`, made for kv_places(). Hidden states are rounded after each block
  // as the class says.
  //   hidden  [rows, hidden_size], dense; the runs' rows in order
  //   failed  [rows]; 1 for rows that are not finite (their sequences must be ended), else 0
  // InvalidArgument if the span lacks a block, a run does not start at its sequence's end or
  // exceeds its reservation, a sequence has two runs, or there are more than max_rows() rows or
  // other than failed.size(); then no sequence has changed.
  absl::Status Forward(std::span<const PassRun> runs, KvCache& cache, float* hidden,
                       std::span<std::uint8_t> failed, BlockRange blocks = {});

 private:
  struct Impl;
  explicit BlockSpan(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fallow
