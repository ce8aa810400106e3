#include "model/rope_factors.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace fallow {
namespace {

constexpr double kTolerance = 1e-4;  // relative; files hold floats

// What frequency `i` is divided by.
double Factor(const RopeScaling& scaling, const ModelSpec& spec, int i) {
  const double frequency = std::pow(spec.rope_theta, -2.0 * i / spec.rope_dims);
  const double wave_length = 2 * std::numbers::pi / frequency;
  const double waves = static_cast<double>(scaling.original_max_positions) / wave_length;
  if (waves < scaling.low_freq_factor) return scaling.factor;
  if (waves > scaling.high_freq_factor) return 1;
  const double smooth =
      (waves - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
  return 1 / ((1 - smooth) / scaling.factor + smooth);
}

}  // namespace

absl::StatusOr<RopeScaling> ScalingFromFactors(const Checkpoint& checkpoint,
                                               const std::string& tensor, const ModelSpec& spec) {
  FALLOW_ASSIGN_OR_RETURN(const StoredTensor stored, checkpoint.Find(tensor));
  const std::int64_t expected = spec.rope_dims / 2;
  if (expected == 0 || stored.elements() != expected) {
    return absl::DataLossError(absl::StrCat(checkpoint.path(), ": tensor ", tensor, ": ",
                                            stored.elements(), " elements, expected ", expected));
  }
  std::vector<float> factors(expected);
  Dequantize(stored.type, stored.bytes, expected, factors.data());

  RopeScaling scaling;
  scaling.kind = RopeScaling::Kind::kLlama3;
  scaling.factor = *std::max_element(factors.begin(), factors.end());
  scaling.original_max_positions = 8192;
  for (std::int64_t i = 0; i < expected; ++i) {
    const double wanted = Factor(scaling, spec, static_cast<int>(i));
    if (!(std::abs(factors[i] - wanted) <= kTolerance * wanted)) {
      return absl::UnimplementedError(
          absl::StrCat(checkpoint.path(), ": tensor ", tensor, ": element ", i, " is ", factors[i],
                       ", expected ", wanted, " as in Llama 3: other factors are not supported"));
    }
  }
  return scaling;
}

}  // namespace fallow
