#include "wire/grpc_queue.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/monotonic_time.h"
#include "grpc/support/time.h"

namespace fallow {
namespace {

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

GrpcQueue::Waiter::Waiter(GrpcQueue& queue, Turn turn) : queue_(queue), turn_(turn) {
  absl::MutexLock lock(&queue_.mutex_);
  (turn_ == Turn::kFirst ? queue_.first_ : queue_.stands_by_) = this;
}

GrpcQueue::Waiter::~Waiter() {
  absl::MutexLock lock(&queue_.mutex_);
  if (turn_ == Turn::kStandsBy) {
    queue_.stands_by_ = nullptr;
    return;
  }
  queue_.first_ = nullptr;
  queue_.first_seen_ = absl::InfinitePast();
  if (queue_.stands_by_ != nullptr) {
    queue_.stands_by_->called_.Signal();
  }
}

std::optional<GrpcQueue::Ready> GrpcQueue::Waiter::Next(absl::Time until) {
  while (true) {
    {
      absl::MutexLock lock(&queue_.mutex_);
      const bool polls = queue_.AwaitTurn(*this, until);
      if (!ready_.empty()) {
        const Ready ready = ready_.front();
        ready_.pop_front();
        return ready;
      }
      if (!polls) {
        woken_ = false;
        return std::nullopt;
      }
    }
    void* tag = nullptr;
    bool ok = false;
    const auto status = queue_.queue_->AsyncNext(&tag, &ok, DeadlineAt(until));
    queue_.begun_.load(std::memory_order_acquire);
    absl::MutexLock lock(&queue_.mutex_);
    queue_.EndTurn(*this);
    if (status != grpc::CompletionQueue::GOT_EVENT) {
      return std::nullopt;
    }
    if (tag == &queue_.alarm_) {
      queue_.alarm_set_ = false;
      return std::nullopt;
    }
    const Ready ready{static_cast<GrpcEvent*>(tag), ok};
    if (&ready.event->waiter() == this) {
      return ready;
    }
    if (!ready.event->Settle(ok)) {
      queue_.HandOver(ready);
    }
  }
}

void GrpcQueue::Waiter::Wake() {
  absl::MutexLock lock(&queue_.mutex_);
  woken_ = true;
  if (queue_.poller_ == this) {
    queue_.InterruptPoller();
  } else {
    called_.Signal();
  }
}

GrpcQueue::GrpcQueue()
    : builder_(std::make_unique<grpc::ServerBuilder>()), queue_(builder_->AddCompletionQueue()) {}

GrpcQueue::~GrpcQueue() {
  queue_->Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) {  // the alarm
  }
}

std::unique_ptr<grpc::ServerBuilder> GrpcQueue::TakeServerBuilder() {
  absl::MutexLock lock(&mutex_);
  return std::move(builder_);
}

bool GrpcQueue::AwaitTurn(Waiter& me, absl::Time until) {
  while (me.ready_.empty() && !me.woken_) {
    absl::Time look_again = until;
    if (me.turn_ == Turn::kStandsBy) {
      look_again = std::min(until, StandBy(until));
    }
    const absl::Time now = MonotonicNow();
    if (poller_ == nullptr && (me.turn_ == Turn::kFirst || now >= first_seen_ + kPatience)) {
      poller_ = &me;
      return true;
    }
    if (me.turn_ == Turn::kFirst) {
      first_seen_ = now;
      InterruptPoller();
    }
    if (now >= until) {
      return false;
    }
    me.called_.WaitWithTimeout(&mutex_, look_again - now);
  }
  return false;
}

absl::Time GrpcQueue::StandBy(absl::Time until) {
  const bool away = poller_ == nullptr;
  watched_ = away || std::exchange(first_moved_, false);
  if (!watched_) {
    return until;
  }
  return away ? first_seen_ + kPatience : MonotonicNow() + kPatience;
}

void GrpcQueue::EndTurn(Waiter& me) {
  poller_ = nullptr;
  if (me.turn_ == Turn::kStandsBy) {
    if (first_ != nullptr) {
      first_->called_.Signal();
    }
    return;
  }
  first_seen_ = MonotonicNow();
  first_moved_ = true;
  if (!watched_ && stands_by_ != nullptr) {
    watched_ = true;
    stands_by_->called_.Signal();
  }
}

void GrpcQueue::InterruptPoller() {
  if (!alarm_set_) {
    alarm_set_ = true;
    alarm_.Set(queue_.get(), gpr_time_0(GPR_CLOCK_MONOTONIC), &alarm_);
  }
}

void GrpcQueue::HandOver(Ready ready) {
  Waiter& waiter = ready.event->waiter();
  waiter.ready_.push_back(ready);
  waiter.called_.Signal();
}

}  // namespace fallow
