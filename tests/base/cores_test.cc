#include "base/platform/cores.h"

#include <sched.h>

#include <future>
#include <thread>

#include "catch2/catch_test_macros.hpp"

namespace fallow {
namespace {

cpu_set_t AllowedCores() {
  cpu_set_t cores;
  REQUIRE(sched_getaffinity(0, sizeof cores, &cores) == 0);
  return cores;
}

TEST_CASE("the current core is one of those that are usable", "[base][cores]") {
  const cpu_set_t usable = AllowedCores();
  CHECK(UsableCores() == CPU_COUNT(&usable));
  CHECK(CPU_ISSET(CurrentCore(), &usable));
}

TEST_CASE("a thread is kept off a core, unless its caller has no other", "[base][cores]") {
  const cpu_set_t usable = AllowedCores();
  std::promise<void> done;
  std::promise<cpu_set_t> allowed;
  std::thread thread([&] {
    done.get_future().wait();
    allowed.set_value(AllowedCores());
  });
  const int core = CurrentCore();
  KeepOffCore(thread, core);
  done.set_value();
  const cpu_set_t cores = allowed.get_future().get();
  thread.join();
  cpu_set_t expected = usable;
  if (UsableCores() > 1) CPU_CLR(core, &expected);
  CHECK(CPU_EQUAL(&cores, &expected));
}

}  // namespace
}  // namespace fallow
