#include "base/platform/fork.h"

#include <unistd.h>

#include <string>

namespace fallow {

ForkCheck::ForkCheck() : process_(getpid()) {}

absl::Status ForkCheck::Check(std::string_view what) const {
  if (forked()) {
    return absl::FailedPreconditionError(std::string(what) +
                                         " was started before fork, and does not run in the child");
  }
  return absl::OkStatus();
}

bool ForkCheck::forked() const { return getpid() != process_; }

}  // namespace fallow
