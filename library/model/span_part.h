// Consecutive blocks of a span on one device.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "fallow/model_spec.h"
#include "kernels/backend.h"
#include "model/block_weights.h"
#include "model/device_tables.h"
#include "model/kv_cache.h"
#include "model/staged.h"

namespace fallow {

class SpanPart {
 public:
  // Without blocks yet. `first`: of them, counted from the span's. The back end is borrowed.
  // ResourceExhausted if it has no memory for passes of `max_rows`.
  static absl::StatusOr<std::unique_ptr<SpanPart>> Create(const ModelSpec& spec,
                                                          const NumericClass& numeric_class,
                                                          std::int64_t max_rows, int first,
                                                          Backend& backend);

  // Reads and packs the next block, whose number in the model is `block`.
  absl::Status Read(const SlotReader& reader, int block);

  // Counted from the span's first.
  BlockRange blocks() const { return {first_, first_ + static_cast<int>(blocks_.size())}; }
  std::int64_t weight_bytes() const { return weight_bytes_; }  // packed
  KvPlace kv_place() const;

  // Rows of the runs, in order; the cache counts their positions as held.
  struct Pass {
    std::span<const SequenceRun> runs;
    std::span<const std::int32_t> positions;  // of each row
    std::int64_t end = 0;                     // beyond the last of all positions
  };

  // Runs rows through `blocks`, which are some of blocks(); arguments as BlockSpan::Forward's.
  absl::Status Run(const Pass& pass, BlockRange blocks, const KvCache& cache, float* hidden,
                   std::span<std::uint8_t> failed);

 private:
  SpanPart(const ModelSpec& spec, const NumericClass& numeric_class, std::int64_t max_rows,
           int first, Backend& backend);

  std::int64_t queries() const { return std::int64_t{spec_.num_heads} * spec_.head_dim; }
  std::int64_t keys() const { return std::int64_t{spec_.num_kv_heads} * spec_.head_dim; }
  std::int64_t qkv_stride() const { return queries() + 2 * keys(); }
  std::int64_t inner_stride() const { return (spec_.gated ? 2 : 1) * spec_.intermediate_size; }

  absl::Status AllocateScratch();
  void RunBlock(const BlockWeights& weights, const KvView& kv, float* hidden, std::int64_t rows);
  void Normalise(const NormWeights& weights, const float* hidden, std::int64_t rows);
  void Attend(const BlockWeights& weights, const KvView& kv, float* hidden, std::int64_t rows);
  void Rotate(float* x, int heads, std::int64_t rows);
  void FeedForward(const BlockWeights& weights, float* hidden, std::int64_t rows);

  const ModelSpec spec_;
  const NumericClass numeric_class_;
  const std::int64_t max_rows_;
  const int first_;
  Backend& backend_;
  std::vector<BlockWeights> blocks_;
  std::int64_t weight_bytes_ = 0;
  DeviceVector slopes_;                 // ALiBi
  std::optional<DeviceTables> tables_;  // RoPE

  // Rows of floats between the kernels; every buffer has room for max_rows.
  Staged staged_hidden_;     // [rows, hidden_size]
  Staged staged_failed_;     // [rows]
  Staged staged_positions_;  // [rows]
  ActivationBuffer normed_;  // [rows, hidden_size]
  DeviceVector qkv_;         // [rows, query heads | key heads | value heads]
  DeviceVector attended_;    // [rows, query heads]
  ActivationBuffer attended_activations_;
  DeviceVector inner_;  // [rows, gate | up]
  ActivationBuffer inner_activations_;

  // Of the pass under way.
  std::span<const SequenceRun> runs_;
  std::span<const std::int32_t> positions_;
};

}  // namespace fallow
