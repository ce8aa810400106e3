// A loop on a thread of its own, in real time.
#pragma once

#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/loop.h"
#include "base/task_queue.h"

namespace fallow {

class ThreadLoop final : public Loop {
 public:
  // `name` is the thread's in debuggers and lists of processes: 15 characters of it are seen.
  explicit ThreadLoop(const std::string& name);

  // Waits for the task that is running and destroys the others. Not from its own thread.
  ~ThreadLoop() override;

  void Post(Task task) override;
  TimerId After(absl::Duration delay, Task task) override;
  void Cancel(TimerId timer) override;
  absl::Time Now() const override;

 private:
  void Run();
  void Sleep(absl::Time until);
  void Wake();

  TaskQueue queue_;
  absl::Mutex mutex_;
  absl::CondVar wakes_;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace fallow
