// A gRPC completion queue, and whose turn it is to wait for its events.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/alarm.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/server_builder.h"

namespace fallow {

class GrpcEvent;

// One thread at a time polls; it reads the sockets itself, so what is for it costs no second
// wake-up, and hands over what is for the other. Two threads that wait for the same sockets, each
// at a queue of its own, wake each other for every message.
class GrpcQueue {
 public:
  enum class Turn {
    kFirst,     // polls whenever it has nothing else to do
    kStandsBy,  // polls while the first has been away for kPatience, or is gone
  };
  static constexpr absl::Duration kPatience = absl::Milliseconds(20);

  struct Ready {
    GrpcEvent* event;
    bool ok;
  };

  // A thread at the queue: at most one of each turn.
  class Waiter {
   public:
    Waiter(GrpcQueue& queue, Turn turn);
    ~Waiter();

    // The next event for this thread. None if Wake was called or at `until`, and sometimes sooner.
    std::optional<Ready> Next(absl::Time until);

    // An operation is about to begin whose event is for this thread. From any thread.
    void OnBegin() { queue_.begun_.fetch_add(1, std::memory_order_release); }

    // Lets Next return, this time or the next. From any thread.
    void Wake();

   private:
    friend GrpcQueue;

    GrpcQueue& queue_;
    const Turn turn_;
    // Under the queue's mutex.
    std::deque<Ready> ready_;
    bool woken_ = false;
    absl::CondVar called_;
  };

  GrpcQueue();
  ~GrpcQueue();

  grpc::ServerCompletionQueue& queue() { return *queue_; }

  // The one builder whose server may use this queue for new calls; null if it was taken. gRPC wants
  // a queue and its server to be made by the same builder.
  std::unique_ptr<grpc::ServerBuilder> TakeServerBuilder();

 private:
  bool AwaitTurn(Waiter& me, absl::Time until) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Until when to wait before looking again.
  absl::Time StandBy(absl::Time until) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndTurn(Waiter& me) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void InterruptPoller() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandOver(Ready ready) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Orders what was written before an operation began before its event is read. gRPC does so too,
  // where ThreadSanitizer cannot see it.
  std::atomic<std::uint64_t> begun_ = 0;

  absl::Mutex mutex_;
  std::unique_ptr<grpc::ServerBuilder> builder_ ABSL_GUARDED_BY(mutex_);
  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  Waiter* first_ ABSL_GUARDED_BY(mutex_) = nullptr;
  Waiter* stands_by_ ABSL_GUARDED_BY(mutex_) = nullptr;
  Waiter* poller_ ABSL_GUARDED_BY(mutex_) = nullptr;

  // While the first comes and goes, the other looks after it every kPatience; while it waits the
  // other sleeps.
  absl::Time first_seen_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  bool first_moved_ ABSL_GUARDED_BY(mutex_) = false;
  bool watched_ ABSL_GUARDED_BY(mutex_) = false;

  grpc::Alarm alarm_ ABSL_GUARDED_BY(mutex_);
  bool alarm_set_ ABSL_GUARDED_BY(mutex_) = false;  // and its event not yet taken
};

// What a tag of the completion queue points to.
class GrpcEvent {
 public:
  explicit GrpcEvent(GrpcQueue::Waiter& waiter) : waiter_(waiter) {}
  virtual ~GrpcEvent() = default;
  // On the thread that polls, whichever that is: true if the waiter need not hear of it.
  virtual bool Settle(bool ok) = 0;
  // On the waiter's thread.
  virtual void Done(bool ok) = 0;

  GrpcQueue::Waiter& waiter() const { return waiter_; }

 private:
  GrpcQueue::Waiter& waiter_;
};

}  // namespace fallow
