// A model's tensors on a back end, read by slot and checked against the shapes that the spec asks.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "kernels/activations.h"
#include "kernels/backend.h"
#include "kernels/norm/norm.h"
#include "model/packed_file.h"
#include "model/weights.h"

namespace fallow {

// Floats on a back end; data() is null if there are none.
struct DeviceVector {
  std::shared_ptr<Buffer> memory;

  float* data() const { return memory ? reinterpret_cast<float*>(memory->data()) : nullptr; }
  void Fill(Backend& backend, std::span<const float> values) const;
};
absl::StatusOr<DeviceVector> AllocateFloats(Backend& backend, std::int64_t count);

// Activations on a back end, for passes of up to some number of rows.
class ActivationBuffer {
 public:
  static absl::StatusOr<ActivationBuffer> Allocate(Backend& backend, Arithmetic arithmetic,
                                                   std::int64_t max_rows, std::int64_t k);
  ActivationBuffer() = default;

  Activations Rows(std::int64_t rows) const {
    Activations view = whole_;
    view.rows = rows;
    return view;
  }

 private:
  std::shared_ptr<Buffer> memory_;
  Activations whole_;
};

struct NormWeights {
  DeviceVector weight;
  DeviceVector bias;
};

// A linear layer.
struct LinearWeights {
  Weight weight;
  DeviceVector bias;
};

// y = W x + b, or y += W x + b if `add`.
MatmulArgs Product(const LinearWeights& linear, const Activations& x, float* y, std::int64_t stride,
                   bool add = false);

// Reads slots of one model; borrows all that it is given. Where a bias is absent, its vector is
// empty. DataLoss names slot, shape and expectation where a tensor has another shape.
class SlotReader {
 public:
  struct Source {
    const Checkpoint& checkpoint;
    const Family& family;
    const ModelSpec& spec;
    const NumericClass& numeric_class;
    Backend& backend;
  };
  // With `packed`, all comes from there and nothing from the checkpoint.
  explicit SlotReader(const Source& source, const PackedFile* packed = nullptr)
      : source_(source), packed_(packed) {}

  absl::StatusOr<NormWeights> Norm(const std::string& slot, int block) const;
  absl::StatusOr<LinearWeights> Linear(const std::string& slot, int block, std::int64_t rows,
                                       std::int64_t cols) const;

 private:
  absl::StatusOr<Weight> Matrix(const std::string& slot, int block) const;
  absl::StatusOr<DeviceVector> Vector(const std::string& slot, int block, std::int64_t count) const;

  Source source_;
  const PackedFile* packed_;
};

// The part of a norm's arguments that a model fixes.
NormArgs NormOf(const ModelSpec& spec, const NormWeights& weights, const float* x,
                std::int64_t rows);

}  // namespace fallow
