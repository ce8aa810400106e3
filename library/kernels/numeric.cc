#include "kernels/numeric.h"

namespace fallow {

std::string_view Name(WeightType type) {
  switch (type) {
    case WeightType::kFp32:
      return "fp32";
    case WeightType::kBf16:
      return "bf16";
    case WeightType::kQ8:
      return "q8";
    case WeightType::kQ4_0:
      return "q4_0";
    case WeightType::kQ4_1:
      return "q4_1";
    case WeightType::kNl4:
      return "nl4";
  }
  return "unknown";
}

std::string_view Name(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kFp32:
      return "fp32";
    case Arithmetic::kBf16:
      return "bf16";
    case Arithmetic::kExact:
      return "exact-1";
  }
  return "unknown";
}

}  // namespace fallow
