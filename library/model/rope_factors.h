// Llama 3's stretched rotation as GGUF files hold it.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "fallow/model_spec.h"
#include "model/checkpoint.h"

namespace fallow {

// GGUF files of Llama 3.1 and later hold, instead of the parameters, the factor by which each
// frequency is divided. Finds the parameters: those of the published models (low and high frequency
// factors 1 and 4, 8192 original positions; the factor is the tensor's largest element) are tried,
// and Unimplemented is returned where they do not give the tensor.
absl::StatusOr<RopeScaling> ScalingFromFactors(const Checkpoint& checkpoint,
                                               const std::string& tensor, const ModelSpec& spec);

}  // namespace fallow
