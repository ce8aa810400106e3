// Recognises a process that was forked after something was started: threads do not come along, so
// nothing that needs them works in the child.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace fallow {

class ForkCheck {
 public:
  ForkCheck();

  // FailedPrecondition "<what> was started before fork" in a child that was forked since.
  absl::Status Check(std::string_view what) const;
  bool forked() const;

 private:
  long process_;
};

}  // namespace fallow
