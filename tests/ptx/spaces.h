// Which memory an instruction accesses.
#pragma once

#include <optional>

#include "tests/ptx/program.h"

namespace fallow::ptx {

// By its modifiers; kGeneric if they name none, nothing if it is one that there is not here.
// Constants are ordinary host memory.
std::optional<Space> SpaceOf(const Instruction& instruction);

}  // namespace fallow::ptx
