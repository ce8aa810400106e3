#include "model/slots.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace fallow {

absl::StatusOr<DeviceVector> AllocateFloats(Backend& backend, std::int64_t count) {
  FALLOW_ASSIGN_OR_RETURN(auto memory, backend.Allocate(count * std::int64_t{sizeof(float)}));
  return DeviceVector{std::move(memory)};
}

void DeviceVector::Fill(Backend& backend, std::span<const float> values) const {
  backend.ToDevice(memory->data(), values.data(), static_cast<std::int64_t>(values.size_bytes()));
}

absl::StatusOr<ActivationBuffer> ActivationBuffer::Allocate(Backend& backend, Arithmetic arithmetic,
                                                            std::int64_t max_rows, std::int64_t k) {
  ActivationBuffer buffer;
  FALLOW_ASSIGN_OR_RETURN(buffer.memory_,
                          backend.Allocate(ActivationsBytes(arithmetic, max_rows, k)));
  buffer.whole_ = ActivationsIn(buffer.memory_->data(), arithmetic, max_rows, k);
  return buffer;
}

MatmulArgs Product(const LinearWeights& linear, const Activations& x, float* y, std::int64_t stride,
                   bool add) {
  return {.weight = linear.weight.panels,
          .x = x,
          .y = y,
          .stride = stride,
          .bias = linear.bias.data(),
          .add = add};
}

absl::StatusOr<DeviceVector> SlotReader::Vector(const std::string& slot, int block,
                                                std::int64_t count) const {
  std::vector<float> values;
  if (packed_ != nullptr) {
    values = packed_->Vector(slot);
  } else {
    FALLOW_ASSIGN_OR_RETURN(
        values, ReadVector(source_.checkpoint, source_.family, source_.spec, slot, block));
  }
  if (values.empty()) return DeviceVector{};
  if (static_cast<std::int64_t>(values.size()) != count) {
    return absl::DataLossError(absl::StrCat(source_.checkpoint.path(), ": ", slot, " of block ",
                                            block, " has ", values.size(), " elements, expected ",
                                            count));
  }
  FALLOW_ASSIGN_OR_RETURN(DeviceVector vector, AllocateFloats(source_.backend, count));
  vector.Fill(source_.backend, values);
  return vector;
}

absl::StatusOr<NormWeights> SlotReader::Norm(const std::string& slot, int block) const {
  NormWeights norm;
  FALLOW_ASSIGN_OR_RETURN(norm.weight, Vector(slot, block, source_.spec.hidden_size));
  if (norm.weight.data() == nullptr) {
    return absl::DataLossError(
        absl::StrCat(source_.checkpoint.path(), ": ", slot, " of block ", block, " is missing"));
  }
  FALLOW_ASSIGN_OR_RETURN(norm.bias, Vector(slot + ".bias", block, source_.spec.hidden_size));
  return norm;
}

absl::StatusOr<Weight> SlotReader::Matrix(const std::string& slot, int block) const {
  if (packed_ != nullptr) return packed_->Matrix(slot, source_.backend);
  FALLOW_ASSIGN_OR_RETURN(const WeightRows rows,
                          ReadMatrix(source_.checkpoint, source_.family, source_.spec,
                                     source_.numeric_class, slot, block));
  return source_.backend.Pack(rows);
}

absl::StatusOr<LinearWeights> SlotReader::Linear(const std::string& slot, int block,
                                                 std::int64_t rows, std::int64_t cols) const {
  LinearWeights linear;
  FALLOW_ASSIGN_OR_RETURN(linear.weight, Matrix(slot, block));
  const Panels& panels = linear.weight.panels;
  if (panels.rows != rows || panels.cols != cols) {
    return absl::DataLossError(absl::StrCat(source_.checkpoint.path(), ": ", slot, " of block ",
                                            block, " is ", panels.rows, " x ", panels.cols,
                                            ", expected ", rows, " x ", cols));
  }
  FALLOW_ASSIGN_OR_RETURN(linear.bias, Vector(slot + ".bias", block, rows));
  return linear;
}

NormArgs NormOf(const ModelSpec& spec, const NormWeights& weights, const float* x,
                std::int64_t rows) {
  return {.x = x,
          .rows = rows,
          .n = spec.hidden_size,
          .weight = weights.weight.data(),
          .bias = weights.bias.data(),
          .layer = spec.norm == ModelSpec::Norm::kLayer,
          .epsilon = spec.norm_epsilon,
          .values = nullptr,
          .out = {}};
}

}  // namespace fallow
