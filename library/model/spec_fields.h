// The fields of a ModelSpec by name, as descriptors set them.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "fallow/model_spec.h"
#include "model/descriptor.h"

namespace fallow {

// Sets a field, checked for its type and sane limits. InvalidArgument names `path`, the value's
// origin, the value and what was expected; Unimplemented a name (of an activation, a kind of
// scaling) that is not known.
absl::Status SetField(const std::string& path, const std::string& field, const FieldValue& value,
                      ModelSpec& spec);

}  // namespace fallow
