#include "model/stored_rows.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace fallow {

absl::StatusOr<SlotShape> ShapeOf(const ModelSpec& spec, const std::string& slot) {
  const std::int64_t heads = std::int64_t{spec.num_heads} * spec.head_dim;
  const std::int64_t kv_heads = std::int64_t{spec.num_kv_heads} * spec.head_dim;
  const std::int64_t hidden = spec.hidden_size;
  constexpr std::string_view kBias = ".bias";
  if (slot.find("norm") != std::string::npos) return SlotShape{hidden, 1};
  if (slot.ends_with(kBias)) {
    FALLOW_ASSIGN_OR_RETURN(const SlotShape shape,
                            ShapeOf(spec, slot.substr(0, slot.size() - kBias.size())));
    return SlotShape{shape.rows, 1};
  }
  if (slot == "embedding" || slot == "head") return SlotShape{spec.vocab_size, hidden};
  if (slot == "query") return SlotShape{heads, hidden};
  if (slot == "key" || slot == "value") return SlotShape{kv_heads, hidden};
  if (slot == "output") return SlotShape{hidden, heads};
  if (slot == "gate" || slot == "up") return SlotShape{spec.intermediate_size, hidden};
  if (slot == "down") return SlotShape{hidden, spec.intermediate_size};
  return absl::InternalError(absl::StrCat("no slot ", slot));
}

absl::StatusOr<StoredRows> StoredRows::Create(const Checkpoint& checkpoint,
                                              const TensorSource& source, const ModelSpec& spec,
                                              const std::string& slot) {
  FALLOW_ASSIGN_OR_RETURN(const SlotShape shape, ShapeOf(spec, slot));
  FALLOW_ASSIGN_OR_RETURN(StoredTensor tensor, checkpoint.Find(source.name));
  std::vector<std::int64_t> expected = {shape.rows * source.parts};
  if (shape.cols > 1) expected.push_back(shape.cols);
  if (tensor.shape != expected) {
    return absl::DataLossError(absl::StrCat(checkpoint.path(), ": tensor ", tensor.name, ": shape ",
                                            nlohmann::json(tensor.shape).dump(), ", expected ",
                                            nlohmann::json(expected).dump()));
  }
  if (source.rows == TensorSource::Rows::kRopePermuted && spec.rope_dims != spec.head_dim) {
    return absl::UnimplementedError(absl::StrCat(checkpoint.path(), ": rope_dims ", spec.rope_dims,
                                                 " of heads of ", spec.head_dim,
                                                 " in GGUF's row order is not supported"));
  }
  return StoredRows(std::move(tensor), source, shape, spec.head_dim);
}

StoredRows::StoredRows(StoredTensor tensor, const TensorSource& source, SlotShape shape,
                       int head_dim)
    : tensor_(std::move(tensor)),
      source_(source),
      shape_(shape),
      head_dim_(head_dim),
      row_bytes_(StoredBytes(tensor_.type, shape.cols)) {}

std::span<const std::uint8_t> StoredRows::row(std::int64_t r) const {
  const std::int64_t head = r / head_dim_;
  const std::int64_t within = r % head_dim_;
  const std::int64_t half = head_dim_ / 2;
  std::int64_t stored = r;
  switch (source_.rows) {
    case TensorSource::Rows::kAll:
      break;
    case TensorSource::Rows::kPart:
      stored = source_.part * shape_.rows + r;
      break;
    case TensorSource::Rows::kInterleaved:
      stored = (head * source_.parts + source_.part) * head_dim_ + within;
      break;
    case TensorSource::Rows::kRopePermuted:  // pairs lie side by side there, here half a head apart
      stored = head * head_dim_ + within % half * 2 + within / half;
      break;
  }
  return tensor_.bytes.subspan(stored * row_bytes_, row_bytes_);
}

}  // namespace fallow
