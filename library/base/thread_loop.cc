#include "base/thread_loop.h"

#include <optional>
#include <utility>

#include "base/monotonic_time.h"
#include "base/platform/thread_name.h"

namespace fallow {

ThreadLoop::ThreadLoop(const std::string& name)
    : thread_([this, name] {
        SetThreadName(name);
        Run();
      }) {}

ThreadLoop::~ThreadLoop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    wakes_.Signal();
  }
  thread_.join();
  queue_.Stop();
}

void ThreadLoop::Post(Task task) {
  if (queue_.Post(std::move(task))) {
    Wake();
  }
}

Loop::TimerId ThreadLoop::After(absl::Duration delay, Task task) {
  TimerId timer;
  if (queue_.PostAt(Now() + delay, std::move(task), timer)) {
    Wake();
  }
  return timer;
}

void ThreadLoop::Cancel(TimerId timer) { queue_.Cancel(timer); }

absl::Time ThreadLoop::Now() const { return MonotonicNow(); }

void ThreadLoop::Run() {
  const auto stopping = [this] {
    absl::MutexLock lock(&mutex_);
    return stopping_;
  };
  while (!stopping()) {
    if (std::optional<Task> task = queue_.Next(Now())) {
      (*std::move(task))();
    } else {
      Sleep(queue_.PrepareToSleep());
    }
  }
}

void ThreadLoop::Sleep(absl::Time until) {
  absl::MutexLock lock(&mutex_);
  while (!woken_ && !stopping_) {
    const absl::Duration left = until - Now();
    if (left <= absl::ZeroDuration()) {
      break;
    }
    wakes_.WaitWithTimeout(&mutex_, left);
  }
  woken_ = false;
}

void ThreadLoop::Wake() {
  absl::MutexLock lock(&mutex_);
  woken_ = true;
  wakes_.Signal();
}

}  // namespace fallow
