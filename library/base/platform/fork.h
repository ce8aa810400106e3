// Processes that were forked: threads and sockets made before are not theirs.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace fallow {

// Remembers the process that made it.
class ForkGuard {
 public:
  ForkGuard();

  // FailedPrecondition ("<what>: started before fork") in another process.
  absl::Status Check(const std::string& what) const;

 private:
  const std::int64_t process_;
};

}  // namespace fallow
