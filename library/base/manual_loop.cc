#include "base/manual_loop.h"

#include <algorithm>
#include <cassert>

namespace fallow {

ManualTime::ManualTime(std::uint64_t seed)
    : seed_(seed), now_(absl::FromUnixSeconds(1'000'000'000)), random_(seed) {}

ManualTime::~ManualTime() { assert(loops_.empty()); }

std::unique_ptr<ManualLoop> ManualTime::NewLoop(std::string owner) {
  std::unique_ptr<ManualLoop> loop(new ManualLoop(*this, std::move(owner)));
  absl::MutexLock lock(&mutex_);
  loops_.push_back(loop.get());
  return loop;
}

absl::Time ManualTime::Now() const {
  absl::MutexLock lock(&mutex_);
  return now_;
}

bool ManualTime::Step() {
  std::optional<Task> task = TakeNext(absl::InfiniteFuture());
  if (!task.has_value()) {
    return false;
  }
  (*std::move(task))();
  return true;
}

bool ManualTime::RunUntil(absl::FunctionRef<bool()> done, absl::Duration limit) {
  const absl::Time end = Now() + limit;
  while (!done()) {
    std::optional<Task> task = TakeNext(end);
    if (!task.has_value()) {
      return false;
    }
    (*std::move(task))();
  }
  return true;
}

void ManualTime::RunFor(absl::Duration duration) {
  const absl::Time end = Now() + duration;
  RunUntil([] { return false; }, duration);
  absl::MutexLock lock(&mutex_);
  now_ = std::max(now_, end);
}

void ManualTime::Freeze(std::string_view owner) {
  for (ManualLoop* loop : LoopsOf(owner)) {
    loop->Freeze();
  }
}

void ManualTime::Thaw(std::string_view owner) {
  for (ManualLoop* loop : LoopsOf(owner)) {
    loop->Thaw();
  }
}

void ManualTime::Kill(std::string_view owner) {
  for (ManualLoop* loop : LoopsOf(owner)) {
    loop->Kill();
  }
}

std::vector<ManualLoop*> ManualTime::LoopsOf(std::string_view owner) {
  absl::MutexLock lock(&mutex_);
  std::vector<ManualLoop*> loops;
  std::copy_if(loops_.begin(), loops_.end(), std::back_inserter(loops),
               [owner](const ManualLoop* loop) { return loop->owner_ == owner; });
  return loops;
}

ManualLoop* ManualTime::ChooseNext(absl::Time limit) {
  // A loop that was frozen may have events of the past: they are due now.
  const auto due = [now = now_](const ManualLoop* loop) {
    return std::max(now, loop->events_.begin()->first.first);
  };
  std::vector<ManualLoop*> ready;
  for (ManualLoop* loop : loops_) {
    if (loop->frozen_ || loop->events_.empty() || due(loop) > limit) {
      continue;
    }
    if (!ready.empty() && due(loop) < due(ready.front())) {
      ready.clear();
    }
    if (ready.empty() || due(loop) == due(ready.front())) {
      ready.push_back(loop);
    }
  }
  if (ready.empty()) {
    return nullptr;
  }
  if (seed_ != 0) {
    return ready[random_() % ready.size()];
  }
  return *std::min_element(ready.begin(), ready.end(), [](const auto* a, const auto* b) {
    return a->events_.begin()->first < b->events_.begin()->first;
  });
}

std::optional<ManualTime::Task> ManualTime::TakeNext(absl::Time limit) {
  absl::MutexLock lock(&mutex_);
  ManualLoop* const loop = ChooseNext(limit);
  if (loop == nullptr) {
    return std::nullopt;
  }
  const auto first = loop->events_.begin();
  now_ = std::max(now_, first->first.first);
  std::optional<Task> task = std::move(first->second);
  loop->events_.erase(first);
  return task;
}

ManualLoop::ManualLoop(ManualTime& time, std::string owner)
    : time_(time), owner_(std::move(owner)) {}

ManualLoop::~ManualLoop() {
  Kill();
  absl::MutexLock lock(&time_.mutex_);
  time_.loops_.erase(std::find(time_.loops_.begin(), time_.loops_.end(), this));
}

void ManualLoop::Post(Task task) { After(absl::ZeroDuration(), std::move(task)); }

Loop::TimerId ManualLoop::After(absl::Duration delay, Task task) {
  absl::MutexLock lock(&time_.mutex_);
  const TimerId timer = ++time_.last_event_;
  if (!killed_) {
    const absl::Time when = time_.now_ + std::max(delay, absl::ZeroDuration());
    events_.emplace(std::pair(when, timer), std::move(task));
  }
  return timer;
}

void ManualLoop::Cancel(TimerId timer) {
  Task forgotten;  // destroyed after the lock: what a task holds may call us
  absl::MutexLock lock(&time_.mutex_);
  const auto event = std::find_if(events_.begin(), events_.end(), [timer](const auto& entry) {
    return entry.first.second == timer;
  });
  if (event != events_.end()) {
    forgotten = std::move(event->second);
    events_.erase(event);
  }
}

absl::Time ManualLoop::Now() const { return time_.Now(); }

void ManualLoop::Freeze() {
  absl::MutexLock lock(&time_.mutex_);
  frozen_ = true;
}

void ManualLoop::Thaw() {
  absl::MutexLock lock(&time_.mutex_);
  frozen_ = false;
}

void ManualLoop::Kill() {
  Events forgotten;
  absl::MutexLock lock(&time_.mutex_);
  killed_ = true;
  forgotten.swap(events_);
}

}  // namespace fallow
