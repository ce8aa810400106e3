// The rows of a slot's matrix, wherever in a stored tensor they lie.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "fallow/model_spec.h"
#include "model/checkpoint.h"
#include "model/spec.h"

namespace fallow {

struct SlotShape {
  std::int64_t rows = 0;
  std::int64_t cols = 0;  // 1 for vectors
};

// What the spec says that a slot's tensor must be. Internal for an unknown slot.
absl::StatusOr<SlotShape> ShapeOf(const ModelSpec& spec, const std::string& slot);

// A view of a slot's rows in the order that the kernels expect. Lives as long as the checkpoint.
class StoredRows {
 public:
  // DataLoss names the tensor, its shape and what the spec asks for.
  static absl::StatusOr<StoredRows> Create(const Checkpoint& checkpoint, const TensorSource& source,
                                           const ModelSpec& spec, const std::string& slot);

  StoredType type() const { return tensor_.type; }
  const std::string& name() const { return tensor_.name; }
  std::int64_t rows() const { return shape_.rows; }
  std::int64_t cols() const { return shape_.cols; }
  std::span<const std::uint8_t> row(std::int64_t r) const;

 private:
  StoredRows(StoredTensor tensor, const TensorSource& source, SlotShape shape, int head_dim);

  StoredTensor tensor_;
  TensorSource source_;
  SlotShape shape_;
  std::int64_t head_dim_;
  std::int64_t row_bytes_;
};

}  // namespace fallow
