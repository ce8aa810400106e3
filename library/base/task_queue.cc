#include "base/task_queue.h"

#include <algorithm>

namespace fallow {

bool TaskQueue::Post(Task task) {
  absl::MutexLock lock(&mutex_);
  if (stopped_) {
    return false;  // `task` is the caller's argument: it goes after the lock
  }
  due_.push_back({0, std::move(task)});
  return TakeSleeping();
}

bool TaskQueue::PostAt(absl::Time when, Task task, TimerId& timer) {
  absl::MutexLock lock(&mutex_);
  timer = ++last_timer_;
  if (stopped_) {
    return false;
  }
  const auto added = timers_.emplace(std::pair(when, timer), std::move(task)).first;
  return added == timers_.begin() && TakeSleeping();
}

void TaskQueue::Cancel(TimerId timer) {
  Task forgotten;  // destroyed after the lock: what a task holds may call us
  absl::MutexLock lock(&mutex_);
  const auto waiting = std::find_if(timers_.begin(), timers_.end(), [timer](const auto& entry) {
    return entry.first.second == timer;
  });
  if (waiting != timers_.end()) {
    forgotten = std::move(waiting->second);
    timers_.erase(waiting);
    return;
  }
  const auto due = std::find_if(due_.begin(), due_.end(),
                                [timer](const Entry& entry) { return entry.timer == timer; });
  if (timer != 0 && due != due_.end()) {
    forgotten = std::move(due->task);
    due_.erase(due);
  }
}

std::optional<TaskQueue::Task> TaskQueue::Next(absl::Time now) {
  absl::MutexLock lock(&mutex_);
  sleeping_ = false;
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    const auto first = timers_.begin();
    due_.push_back({first->first.second, std::move(first->second)});
    timers_.erase(first);
  }
  if (due_.empty()) {
    return std::nullopt;
  }
  std::optional<Task> task = std::move(due_.front().task);
  due_.pop_front();
  return task;
}

absl::Time TaskQueue::PrepareToSleep() {
  absl::MutexLock lock(&mutex_);
  if (!due_.empty() || stopped_) {
    return absl::InfinitePast();
  }
  sleeping_ = true;
  return timers_.empty() ? absl::InfiniteFuture() : timers_.begin()->first.first;
}

void TaskQueue::Stop() {
  decltype(due_) due;
  decltype(timers_) timers;
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  due.swap(due_);
  timers.swap(timers_);
}

bool TaskQueue::stopped() const {
  absl::MutexLock lock(&mutex_);
  return stopped_;
}

bool TaskQueue::TakeSleeping() { return std::exchange(sleeping_, false); }

}  // namespace fallow
