#include "model/staged.h"

#include "base/status_macros.h"

namespace fallow {

absl::StatusOr<Staged> Staged::Allocate(Backend& backend, std::int64_t bytes) {
  Staged staged;
  if (backend.unified()) return staged;
  staged.backend_ = &backend;
  FALLOW_ASSIGN_OR_RETURN(staged.memory_, backend.Allocate(bytes));
  return staged;
}

}  // namespace fallow
