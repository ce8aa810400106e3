#include "base/platform/fork.h"

#include <sys/wait.h>
#include <unistd.h>

#include "catch2/catch_test_macros.hpp"

namespace fallow {
namespace {

TEST_CASE("a forked child is told so, its parent is not", "[base][fork]") {
  const ForkGuard check;
  const pid_t child = fork();
  if (child == 0) {
    const bool told = check.Check("the server").code() == absl::StatusCode::kFailedPrecondition &&
                      ForkGuard().Check("the server").ok();
    _exit(told ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(check.Check("the server").ok());
}

}  // namespace
}  // namespace fallow
