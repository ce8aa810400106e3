#include "kernels/cuda/emulator/fiber.h"

#include <catch2/catch_test_macros.hpp>
#include <string>

namespace fallow::test {
namespace {

using cuda::emulator::Fiber;

struct Walker {
  Fiber fiber;
  std::string* log;
  char name;
};

void Walk(void* argument) {
  auto& walker = *static_cast<Walker*>(argument);
  for (int step = 0; step < 3; ++step) {
    volatile double kept = step * 0.5;  // on the stack, and in a register for a while
    const double before = kept * 3;
    *walker.log += walker.name;
    walker.fiber.Suspend();
    if (before != kept * 3) *walker.log += '!';
  }
}

TEST_CASE("fibers take turns and keep their stacks", "[cuda][fiber]") {
  std::string log;
  Walker a{.log = &log, .name = 'a'};
  Walker b{.log = &log, .name = 'b'};
  a.fiber.Start(Walk, &a);
  b.fiber.Start(Walk, &b);
  for (int i = 0; i < 4; ++i) {
    a.fiber.Resume();
    b.fiber.Resume();
  }
  CHECK(log == "ababab");
  CHECK(!a.fiber.Overflowed());
}

TEST_CASE("a fiber can be started anew, whether it ended or not", "[cuda][fiber]") {
  std::string log;
  Walker a{.log = &log, .name = 'a'};
  a.fiber.Start(Walk, &a);
  a.fiber.Resume();
  a.fiber.Start(Walk, &a);
  for (int i = 0; i < 4; ++i) a.fiber.Resume();
  a.fiber.Start(Walk, &a);
  a.fiber.Resume();
  CHECK(log == "aaaaa");
}

}  // namespace
}  // namespace fallow::test
