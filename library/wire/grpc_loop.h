// The loop of gRPC streams: a thread that handles the events of its calls, and tasks.
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
#include "wire/grpc_queue.h"

namespace fallow {

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
  GrpcLoop(const std::string& name, std::shared_ptr<GrpcQueue> queue, GrpcQueue::Turn turn);

  // Cancels what is under way, and waits for it.
  ~GrpcLoop() override;

  void Post(Task task) override;
  TimerId After(absl::Duration delay, Task task) override;
  void Cancel(TimerId timer) override;
  absl::Time Now() const override;

  const std::shared_ptr<GrpcQueue>& queue() { return queue_; }
  grpc::ServerCompletionQueue& completion_queue() { return queue_->queue(); }
  GrpcQueue::Waiter& waiter() { return waiter_; }

  // From any thread, but an operation must be removed on the loop.
  void Add(GrpcOperation& operation);
  void Remove(GrpcOperation& operation);

 private:
  void Run();
  void Wake();
  // Handles one event, if one comes in time.
  bool HandleEvent(absl::Time until);
  void HandleReadyEvents();
  bool HasOperations() const;
  void CancelOperations(bool also_finishing);

  const std::shared_ptr<GrpcQueue> queue_;
  GrpcQueue::Waiter waiter_;
  TaskQueue tasks_;

  mutable absl::Mutex operations_mutex_;
  std::set<GrpcOperation*> operations_ ABSL_GUARDED_BY(operations_mutex_);

  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

// The tag for one kind of operation of a Call, which it keeps alive while such a one is under way.
template <class Call>
class GrpcTag final : public GrpcEvent {
 public:
  using Method = void (Call::*)(bool ok);
  using Settler = bool (Call::*)(bool ok);
  GrpcTag(GrpcLoop& loop, Method method, Settler settler = nullptr)
      : GrpcEvent(loop.waiter()), method_(method), settler_(settler) {}

  // The tag of an operation that begins now.
  void* Begin(std::shared_ptr<Call> call) {
    call_ = std::move(call);
    waiter().OnBegin();
    return static_cast<GrpcEvent*>(this);
  }
  // For operations that gRPC forgets.
  void Forget() { call_ = nullptr; }

  bool Settle(bool ok) override {
    if (settler_ == nullptr) {
      return false;
    }
    std::shared_ptr<Call> call = std::exchange(call_, nullptr);  // the tag may be begun again
    if ((call.get()->*settler_)(ok)) {
      return true;
    }
    call_ = std::move(call);
    return false;
  }

  void Done(bool ok) override {
    const std::shared_ptr<Call> call = std::exchange(call_, nullptr);
    (call.get()->*method_)(ok);
  }

 private:
  const Method method_;
  const Settler settler_;
  std::shared_ptr<Call> call_;
};

}  // namespace fallow
