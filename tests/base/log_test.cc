#include "base/log.h"

#include <string>
#include <vector>

#include "catch2/catch_test_macros.hpp"

namespace fallow {
namespace {

TEST_CASE("messages reach the sink that is set, and nobody after it is taken away", "[base][log]") {
  std::vector<std::string> seen;
  Log(LogLevel::kError, "nobody listens");
  SetLogSink([&](LogLevel level, std::string_view message) {
    CHECK(level == LogLevel::kWarning);
    seen.emplace_back(message);
  });
  Log(LogLevel::kWarning, "the link is slow");
  SetLogSink(nullptr);
  Log(LogLevel::kWarning, "nobody listens any more");
  CHECK(seen == std::vector<std::string>{"the link is slow"});
}

}  // namespace
}  // namespace fallow
