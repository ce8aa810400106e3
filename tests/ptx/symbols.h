// Names of functions of this program.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace fallow::ptx {

// "fallow::Gemv<4>(int)" of _ZN6fallow4GemvILi4EEEvi; other names as they are.
std::string Demangled(const std::string& name);

// The demangled name of a function, static ones included. NotFound if the program was stripped.
absl::StatusOr<std::string> NameOfFunction(const void* function);

}  // namespace fallow::ptx
