// From absl::Status to Python exceptions.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fallow::python {

// Throws the exception that stands for `status`: ValueError, TimeoutError and MemoryError where
// they fit, else fallow.Error or a child of it. Needs the GIL.
[[noreturn]] void Raise(const absl::Status& status);

inline void OrRaise(const absl::Status& status) {
  if (!status.ok()) Raise(status);
}

template <typename T>
T OrRaise(absl::StatusOr<T> result) {
  if (!result.ok()) Raise(result.status());
  return *std::move(result);
}

}  // namespace fallow::python
