// What a loop with a thread of its own has to do: tasks in order, and timers.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/loop.h"

namespace fallow {

// All methods may be called from any thread. Those that add work return whether the loop's thread
// sleeps and has to be woken: once for each sleep.
class TaskQueue {
 public:
  using Task = Loop::Task;
  using TimerId = Loop::TimerId;

  [[nodiscard]] bool Post(Task task);
  [[nodiscard]] bool PostAt(absl::Time when, Task task, TimerId& timer);
  void Cancel(TimerId timer);

  // The next task that is due. Timers queue up behind the tasks that are there when they are due.
  std::optional<Task> Next(absl::Time now);

  // Before the thread sleeps: until when it may. InfinitePast if there is something to do.
  absl::Time PrepareToSleep();

  // Destroys all tasks, and those that still come.
  void Stop();
  bool stopped() const;

 private:
  struct Entry {
    TimerId timer;  // 0 if it was posted
    Task task;
  };

  bool TakeSleeping() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::deque<Entry> due_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<absl::Time, TimerId>, Task> timers_ ABSL_GUARDED_BY(mutex_);
  TimerId last_timer_ ABSL_GUARDED_BY(mutex_) = 0;
  bool sleeping_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace fallow
