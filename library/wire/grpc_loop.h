// The loop of gRPC streams: a thread that runs one completion queue, and tasks.
#pragma once

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/loop.h"
#include "base/task_queue.h"
#include "grpcpp/alarm.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/server_builder.h"

namespace fallow {

// What a tag of the completion queue points to. Called on the loop.
class GrpcEvent {
 public:
  virtual ~GrpcEvent() = default;
  virtual void Done(bool ok) = 0;
};

// The tag for one kind of operation of a Call, which it keeps alive while such a one is under way.
template <class Call>
class GrpcTag final : public GrpcEvent {
 public:
  using Method = void (Call::*)(bool ok);
  explicit GrpcTag(Method method) : method_(method) {}

  // The tag of an operation that begins now.
  void* Begin(std::shared_ptr<Call> call) {
    call_ = std::move(call);
    return static_cast<GrpcEvent*>(this);
  }
  // For operations that gRPC forgets.
  void Forget() { call_ = nullptr; }

  void Done(bool ok) override {
    const std::shared_ptr<Call> call = std::exchange(call_, nullptr);
    (call.get()->*method_)(ok);
  }

 private:
  const Method method_;
  std::shared_ptr<Call> call_;
};

// A call whose tags come back on a loop. The loop lasts until they have.
class GrpcOperation {
 public:
  virtual ~GrpcOperation() = default;
  virtual void Cancel() = 0;
  // Whether it is only sending its end, which deserves a moment even when the loop stops.
  virtual bool finishing() const { return false; }
};

// Tasks may take long (a model's pass does); between any two of them all events that are ready are
// handled.
class GrpcLoop final : public Loop {
 public:
  explicit GrpcLoop(const std::string& name);

  // Cancels what is under way, and waits for it.
  ~GrpcLoop() override;

  void Post(Task task) override;
  TimerId After(absl::Duration delay, Task task) override;
  void Cancel(TimerId timer) override;
  absl::Time Now() const override;

  grpc::CompletionQueue& queue() { return *queue_; }

  // The one builder whose server may use this loop's queue for new calls; null if it was taken.
  // gRPC wants a queue and its server to be made by the same builder.
  std::unique_ptr<grpc::ServerBuilder> TakeServerBuilder();
  grpc::ServerCompletionQueue& server_queue() { return *queue_; }

  // From any thread, but an operation must be removed on the loop.
  void Add(GrpcOperation& operation);
  void Remove(GrpcOperation& operation);

 private:
  class WakeEvent final : public GrpcEvent {
   public:
    explicit WakeEvent(GrpcLoop& loop) : loop_(loop) {}
    void Done(bool /*ok*/) override { loop_.OnWake(); }

   private:
    GrpcLoop& loop_;
  };

  void Run();
  void Wake();
  void OnWake();
  // Handles one event, if one comes in time.
  bool HandleEvent(absl::Time until);
  void HandleReadyEvents();
  bool HasOperations() const;
  void CancelOperations(bool also_finishing);

  absl::Mutex builder_mutex_;
  std::unique_ptr<grpc::ServerBuilder> builder_ ABSL_GUARDED_BY(builder_mutex_);
  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  TaskQueue tasks_;

  WakeEvent wake_event_{*this};
  absl::Mutex wake_mutex_;
  grpc::Alarm wake_alarm_ ABSL_GUARDED_BY(wake_mutex_);
  bool wake_pending_ ABSL_GUARDED_BY(wake_mutex_) = false;
  bool queue_closed_ ABSL_GUARDED_BY(wake_mutex_) = false;

  mutable absl::Mutex operations_mutex_;
  std::set<GrpcOperation*> operations_ ABSL_GUARDED_BY(operations_mutex_);

  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace fallow
