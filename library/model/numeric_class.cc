#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "model/stored_type.h"
#include "model/weights.h"

namespace fallow {
namespace {

KvFormat DefaultKv(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kFp32:
      return KvFormat::kFp32;
    case Arithmetic::kBf16:
      return KvFormat::kBf16;
    case Arithmetic::kExact:
      return KvFormat::kQ8;
  }
  return KvFormat::kFp32;
}

NumericClass DefaultClass(Arithmetic arithmetic) {
  NumericClass made;
  made.arithmetic = arithmetic;
  made.kv = DefaultKv(arithmetic);
  made.rounding = arithmetic == Arithmetic::kFp32 ? Rounding::kNone : Rounding::kBf16;
  return made;
}

std::optional<Arithmetic> ArithmeticNamed(const std::string& name) {
  if (name == "fp32") return Arithmetic::kFp32;
  if (name == "bf16") return Arithmetic::kBf16;
  if (name == "exact" || name == "exact-1") return Arithmetic::kExact;
  return std::nullopt;
}

std::optional<WeightType> ConversionNamed(const std::string& name) {
  if (name == "q8") return WeightType::kQ8;
  if (name == "q4") return WeightType::kQ4_1;
  return std::nullopt;
}

// A class string: "exact-1+q8+r8".
absl::StatusOr<NumericClass> Parse(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, '+');
  const std::optional<Arithmetic> arithmetic = ArithmeticNamed(parts.front());
  if (!arithmetic) {
    return absl::InvalidArgumentError(
        absl::StrCat("numeric_class \"", text,
                     "\", expected auto, fp32, bf16, exact or a class such as exact-1+q8"));
  }
  NumericClass parsed = DefaultClass(*arithmetic);
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const std::string& part = parts[i];
    const bool exact = *arithmetic == Arithmetic::kExact;
    if (const auto conversion = ConversionNamed(part); conversion && exact && !parsed.weights) {
      parsed.weights = conversion;
    } else if (part == "kv8" && *arithmetic == Arithmetic::kBf16) {
      parsed.kv = KvFormat::kQ8;
    } else if (part == "r8" && *arithmetic != Arithmetic::kFp32) {
      parsed.rounding = Rounding::kInt8;
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("numeric_class \"", text, "\": \"", part, "\" does not go with ", parts[0]));
    }
  }
  return parsed;
}

// Whether the matrices are quantised. Only GGUF files hold such.
absl::StatusOr<bool> HoldsQuantised(const Checkpoint& checkpoint) {
  if (!checkpoint.is_gguf()) return false;
  for (const std::string& name : checkpoint.tensor_names()) {
    const absl::StatusOr<StoredTensor> tensor = checkpoint.Find(name);
    if (!tensor.ok() && !absl::IsUnimplemented(tensor.status())) return tensor.status();
    if (tensor.ok() && IsQuantised(tensor->type)) return true;
  }
  return false;
}

absl::Status Mismatch(const std::string& numeric_class, const std::string& weights) {
  return absl::InvalidArgumentError(
      absl::StrCat("weights=", weights, " does not go with numeric_class=", numeric_class));
}

// The class that `weights` alone asks for.
absl::StatusOr<NumericClass> ByWeights(const std::string& weights, const Checkpoint& checkpoint) {
  if (weights == "fp32") return DefaultClass(Arithmetic::kFp32);
  if (weights == "bf16") return DefaultClass(Arithmetic::kBf16);
  if (weights == "auto") {
    FALLOW_ASSIGN_OR_RETURN(const bool quantised, HoldsQuantised(checkpoint));
    return DefaultClass(quantised ? Arithmetic::kExact : Arithmetic::kBf16);
  }
  NumericClass exact = DefaultClass(Arithmetic::kExact);
  exact.weights = ConversionNamed(weights);
  return exact;
}

// Adds `weights` to a class that was named.
absl::StatusOr<NumericClass> WithWeights(NumericClass named, const std::string& numeric_class,
                                         const std::string& weights, const Checkpoint& checkpoint) {
  if (weights == "fp32" || weights == "bf16") {
    if (ArithmeticNamed(weights) != named.arithmetic) return Mismatch(numeric_class, weights);
    return named;
  }
  if (const std::optional<WeightType> conversion = ConversionNamed(weights)) {
    if (named.arithmetic != Arithmetic::kExact) return Mismatch(numeric_class, weights);
    if (named.weights && named.weights != conversion) return Mismatch(numeric_class, weights);
    named.weights = conversion;
    return named;
  }
  if (named.arithmetic == Arithmetic::kExact && !named.weights) {
    FALLOW_ASSIGN_OR_RETURN(const bool quantised, HoldsQuantised(checkpoint));
    if (!quantised) {
      return absl::InvalidArgumentError(
          absl::StrCat("numeric_class=", numeric_class, " needs quantised weights, but those of ",
                       checkpoint.path(), " are not: name a conversion, weights=q8 or q4"));
    }
  }
  return named;
}

}  // namespace

std::string NumericClass::ToString() const {
  std::string text(Name(arithmetic));
  if (weights) text += *weights == WeightType::kQ8 ? "+q8" : "+q4";
  if (kv != DefaultKv(arithmetic)) text += "+kv8";
  if (rounding == Rounding::kInt8) text += "+r8";
  return text;
}

absl::StatusOr<NumericClass> NumericClass::Choose(const std::string& numeric_class,
                                                  const std::string& weights,
                                                  const Checkpoint& checkpoint) {
  if (weights != "auto" && weights != "fp32" && weights != "bf16" && !ConversionNamed(weights)) {
    return absl::InvalidArgumentError(
        absl::StrCat("weights \"", weights, "\", expected auto, fp32, bf16, q8 or q4"));
  }
  if (numeric_class == "auto") return ByWeights(weights, checkpoint);
  FALLOW_ASSIGN_OR_RETURN(const NumericClass named, Parse(numeric_class));
  return WithWeights(named, numeric_class, weights, checkpoint);
}

}  // namespace fallow
