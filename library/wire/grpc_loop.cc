#include "wire/grpc_loop.h"

#include <optional>
#include <vector>

#include "base/monotonic_time.h"
#include "base/platform/thread_name.h"
#include "grpc/support/time.h"

namespace fallow {
namespace {

constexpr int kEventsInARow = 64;                                // before a task gets its turn
constexpr absl::Duration kLinger = absl::Seconds(1);             // for what is only sending its end
constexpr absl::Duration kCheckPeriod = absl::Milliseconds(10);  // while stopping

thread_local const GrpcLoop* loop_of_this_thread = nullptr;

gpr_timespec DeadlineAt(absl::Time time) {
  if (time == absl::InfiniteFuture()) {
    return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  }
  const std::int64_t left = absl::ToInt64Nanoseconds(time - MonotonicNow());
  return left <= 0
             ? gpr_time_0(GPR_CLOCK_MONOTONIC)
             : gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(left, GPR_TIMESPAN));
}

}  // namespace

GrpcLoop::GrpcLoop(const std::string& name)
    : builder_(std::make_unique<grpc::ServerBuilder>()),
      queue_(builder_->AddCompletionQueue()),
      thread_([this, name] {
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

std::unique_ptr<grpc::ServerBuilder> GrpcLoop::TakeServerBuilder() {
  absl::MutexLock lock(&builder_mutex_);
  return std::move(builder_);
}

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

// The alarm may be set again only after its event was taken.
void GrpcLoop::Wake() {
  if (loop_of_this_thread == this) {
    return;  // it is awake
  }
  absl::MutexLock lock(&wake_mutex_);
  if (!wake_pending_ && !queue_closed_) {
    wake_pending_ = true;
    wake_alarm_.Set(queue_.get(), gpr_now(GPR_CLOCK_MONOTONIC),
                    static_cast<GrpcEvent*>(&wake_event_));
  }
}

void GrpcLoop::OnWake() {
  absl::MutexLock lock(&wake_mutex_);
  wake_pending_ = false;
}

bool GrpcLoop::HandleEvent(absl::Time until) {
  void* tag = nullptr;
  bool ok = false;
  if (queue_->AsyncNext(&tag, &ok, DeadlineAt(until)) != grpc::CompletionQueue::GOT_EVENT) {
    return false;
  }
  static_cast<GrpcEvent*>(tag)->Done(ok);
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
    } else if (!stopping_) {  // the event that woke us to stop may be handled already
      HandleEvent(tasks_.PrepareToSleep());
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
  {
    absl::MutexLock lock(&wake_mutex_);
    queue_closed_ = true;
  }
  queue_->Shutdown();
  while (HandleEvent(absl::InfiniteFuture())) {
  }
}

}  // namespace fallow
