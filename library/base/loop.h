// One thread of control that owns some state: whoever wants that state changed posts a task.
//
// Servers and clients are written against this interface alone, so a whole swarm can run on real
// threads (ThreadLoop, or the gRPC transport's loop) or, in one test thread, under a manual clock
// (ManualLoop) where every interleaving can be chosen and repeated.
#pragma once

#include <cstdint>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"

namespace fallow {

class Loop {
 public:
  using Task = absl::AnyInvocable<void() &&>;
  using TimerId = std::uint64_t;

  virtual ~Loop() = default;

  // Runs `task` on the loop after all that was posted before. From any thread. A task posted after
  // the loop has stopped is destroyed without being run.
  virtual void Post(Task task) = 0;

  // Runs `task` once, `delay` from now, unless cancelled before. From any thread.
  virtual TimerId After(absl::Duration delay, Task task) = 0;

  // Forgets a timer; one that ran already is ignored. On the loop only, so that a cancelled task
  // never runs afterwards.
  virtual void Cancel(TimerId timer) = 0;

  // The loop's clock: real and monotonic, or the test's.
  virtual absl::Time Now() const = 0;
};

}  // namespace fallow
