#include "wire/grpc_loop.h"

#include <optional>
#include <vector>

#include "base/monotonic_time.h"
#include "base/platform/thread_name.h"

namespace fallow {
namespace {

constexpr int kEventsInARow = 64;                                // before a task gets its turn
constexpr absl::Duration kLinger = absl::Seconds(1);             // for what is only sending its end
constexpr absl::Duration kCheckPeriod = absl::Milliseconds(10);  // while stopping

thread_local const GrpcLoop* loop_of_this_thread = nullptr;

}  // namespace

GrpcLoop::GrpcLoop(const std::string& name, std::shared_ptr<GrpcQueue> queue, GrpcQueue::Turn turn)
    : queue_(std::move(queue)), waiter_(*queue_, turn), thread_([this, name] {
        SetThreadName(name);
        Run();
      }) {}

GrpcLoop::~GrpcLoop() {
  stopping_ = true;
  Wake();
  thread_.join();
  tasks_.Stop();
}

void GrpcLoop::Post(Task task) {
  if (tasks_.Post(std::move(task))) {
    Wake();
  }
}

Loop::TimerId GrpcLoop::After(absl::Duration delay, Task task) {
  TimerId timer;
  if (tasks_.PostAt(Now() + delay, std::move(task), timer)) {
    Wake();
  }
  return timer;
}

void GrpcLoop::Cancel(TimerId timer) { tasks_.Cancel(timer); }

absl::Time GrpcLoop::Now() const { return MonotonicNow(); }

void GrpcLoop::Add(GrpcOperation& operation) {
  absl::MutexLock lock(&operations_mutex_);
  operations_.insert(&operation);
}

void GrpcLoop::Remove(GrpcOperation& operation) {
  absl::MutexLock lock(&operations_mutex_);
  operations_.erase(&operation);
}

bool GrpcLoop::HasOperations() const {
  absl::MutexLock lock(&operations_mutex_);
  return !operations_.empty();
}

void GrpcLoop::CancelOperations(bool also_finishing) {
  std::vector<GrpcOperation*> operations;
  {
    absl::MutexLock lock(&operations_mutex_);
    operations.assign(operations_.begin(), operations_.end());
  }
  for (GrpcOperation* operation : operations) {  // only we, on the loop, remove any
    if (also_finishing || !operation->finishing()) {
      operation->Cancel();
    }
  }
}

void GrpcLoop::Wake() {
  if (loop_of_this_thread != this) {
    waiter_.Wake();
  }
}

bool GrpcLoop::HandleEvent(absl::Time until) {
  const auto ready = waiter_.Next(until);
  if (!ready.has_value()) {
    return false;
  }
  ready->event->Done(ready->ok);
  return true;
}

void GrpcLoop::HandleReadyEvents() {
  for (int i = 0; i < kEventsInARow && HandleEvent(absl::InfinitePast()); ++i) {
  }
}

void GrpcLoop::Run() {
  loop_of_this_thread = this;
  while (!stopping_) {
    HandleReadyEvents();
    if (std::optional<Task> task = tasks_.Next(Now())) {
      (*std::move(task))();
    } else {
      const absl::Time until = tasks_.PrepareToSleep();
      // The event that stops us may have been among the ready ones.
      HandleEvent(stopping_ ? absl::InfinitePast() : until);
    }
  }
  tasks_.Stop();
  CancelOperations(/*also_finishing=*/false);
  for (const absl::Time end = Now() + kLinger; HasOperations();) {
    HandleEvent(Now() + kCheckPeriod);
    if (Now() >= end) {
      CancelOperations(/*also_finishing=*/true);
    }
  }
}

}  // namespace fallow
