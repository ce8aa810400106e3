#include "base/platform/fork.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace fallow {

ForkGuard::ForkGuard() : process_(getpid()) {}

absl::Status ForkGuard::Check(const std::string& what) const {
  if (getpid() == process_) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(what, ": started before fork"));
}

}  // namespace fallow
