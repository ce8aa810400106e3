// Reads PTX text as nvcc writes it, inline assembly included.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "tests/ptx/program.h"

namespace fallow::ptx {

// Functions other than kernels are passed over. InvalidArgument names the line that is not
// understood; an unknown instruction is no error here, but keeps its kernel from starting.
absl::StatusOr<Program> Parse(std::string_view text);

}  // namespace fallow::ptx
