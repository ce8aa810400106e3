#include "model/weights.h"

#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/float_bits.h"
#include "model/convert_rows.h"
#include "model/stored_rows.h"

namespace fallow {
namespace {

void ReadFloats(const StoredRows& rows, WeightRows& out) {
  out.values.resize(out.rows * out.cols);
  for (std::int64_t r = 0; r < out.rows; ++r) {
    Dequantize(rows.type(), rows.row(r), out.cols, out.values.data() + r * out.cols);
  }
}

void ReadBf16(const StoredRows& rows, WeightRows& out) {
  out.bf16.resize(out.rows * out.cols);
  std::vector<float> values(out.cols);
  for (std::int64_t r = 0; r < out.rows; ++r) {
    std::uint16_t* row = out.bf16.data() + r * out.cols;
    if (rows.type() == StoredType::kBF16) {
      std::memcpy(row, rows.row(r).data(), rows.row(r).size());
      continue;
    }
    Dequantize(rows.type(), rows.row(r), out.cols, values.data());
    for (std::int64_t i = 0; i < out.cols; ++i) row[i] = Bf16FromFloat(values[i]);
  }
}

absl::Status ReadGroups(const std::string& path, const StoredRows& rows, WeightRows& out) {
  if (out.cols % kGroup != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": tensor ", rows.name(), ": rows of ", out.cols,
                     " elements, quantised weights need a multiple of ", kGroup));
  }
  const std::int64_t groups = out.cols / kGroup;
  out.codes.resize(out.rows * out.cols);
  out.scale.resize(out.rows * groups);
  if (out.type == WeightType::kQ4_1) out.minimum.resize(out.rows * groups);
  const bool keep = KeepsGroups(rows.type()) && HeldAs(rows.type()) == out.type;
  std::vector<float> values(keep ? 0 : out.cols);
  for (std::int64_t r = 0; r < out.rows; ++r) {
    const GroupedRow row = {out.codes.data() + r * out.cols, out.scale.data() + r * groups,
                            out.minimum.empty() ? nullptr : out.minimum.data() + r * groups};
    if (keep) {
      CopyGroups(rows.type(), rows.row(r), groups, row);
      continue;
    }
    Dequantize(rows.type(), rows.row(r), out.cols, values.data());
    if (!QuantiseRow(out.type, values.data(), groups, row)) {
      return absl::DataLossError(absl::StrCat(path, ": tensor ", rows.name(), ": row ", r,
                                              ": a number that is not finite, or too large for ",
                                              std::string(Name(out.type))));
    }
  }
  return absl::OkStatus();
}

}  // namespace

// A conversion makes weights smaller, never larger.
WeightType KeptAs(const NumericClass& numeric_class, StoredType stored) {
  if (numeric_class.arithmetic == Arithmetic::kFp32) return WeightType::kFp32;
  if (numeric_class.arithmetic == Arithmetic::kBf16) return WeightType::kBf16;
  const WeightType held = HeldAs(stored);
  const bool to_four_bits = numeric_class.weights == WeightType::kQ4_1 && held == WeightType::kQ8;
  return to_four_bits ? WeightType::kQ4_1 : held;
}

absl::StatusOr<WeightRows> ReadMatrix(const Checkpoint& checkpoint, const Family& family,
                                      const ModelSpec& spec, const NumericClass& numeric_class,
                                      const std::string& slot, int block) {
  const std::string stored_slot = slot == "head" && spec.tied_head ? "embedding" : slot;
  FALLOW_ASSIGN_OR_RETURN(const std::optional<TensorSource> source,
                          family.Find(checkpoint, stored_slot, block));
  if (!source) {
    return absl::InternalError(absl::StrCat("family ", spec.family, " has no slot ", slot));
  }
  FALLOW_ASSIGN_OR_RETURN(const StoredRows rows,
                          StoredRows::Create(checkpoint, *source, spec, stored_slot));
  WeightRows out;
  out.type = KeptAs(numeric_class, rows.type());
  out.rows = rows.rows();
  out.cols = rows.cols();
  switch (out.type) {
    case WeightType::kFp32:
      ReadFloats(rows, out);
      break;
    case WeightType::kBf16:
      ReadBf16(rows, out);
      break;
    default:
      FALLOW_RETURN_IF_ERROR(ReadGroups(checkpoint.path(), rows, out));
  }
  return out;
}

absl::StatusOr<std::vector<float>> ReadVector(const Checkpoint& checkpoint, const Family& family,
                                              const ModelSpec& spec, const std::string& slot,
                                              int block) {
  FALLOW_ASSIGN_OR_RETURN(const std::optional<TensorSource> source,
                          family.Find(checkpoint, slot, block));
  if (!source) return std::vector<float>();
  FALLOW_ASSIGN_OR_RETURN(const StoredRows rows,
                          StoredRows::Create(checkpoint, *source, spec, slot));
  std::vector<float> values(rows.rows());
  for (std::int64_t r = 0; r < rows.rows(); ++r) {
    Dequantize(rows.type(), rows.row(r), 1, values.data() + r);
  }
  return values;
}

}  // namespace fallow
