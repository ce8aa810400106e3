// The gRPC call below a stream, alike for client and server. The stream can go at any time; the
// call stays until its last tag is back.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "wire/grpc_loop.h"
#include "wire/transport.h"

namespace fallow {

// At most one read and one write are under way; further writes wait in a queue. Methods are called
// on the loop, where nothing else is said.
template <class Out, class In>
class GrpcCall : public GrpcOperation, public std::enable_shared_from_this<GrpcCall<Out, In>> {
 public:
  using Handler = typename Stream<Out, In>::Handler;

  explicit GrpcCall(GrpcLoop& loop) : loop_(loop) {}

  // What streams do: see there. Write and queued_bytes from any thread.
  void Start(Handler& handler);
  void Write(Out message);
  std::size_t queued_bytes() const;
  void SetReading(bool on);
  virtual void Finish(absl::Status status);
  // The stream is gone.
  void Release();

  void Cancel() final;
  bool finishing() const final;

 protected:
  // What differs between client and server. Issue... start an operation with its tag, before
  // Destroy was called.
  virtual void IssueRead(In* message, void* tag) = 0;
  virtual void IssueWrite(const Out& message, void* tag) = 0;
  virtual void IssueEnd(const absl::Status& status, void* tag) = 0;
  virtual void TryCancel() = 0;
  virtual void OnReadEnded() {}
  // Lets go of all gRPC objects: no operation is under way, and none will be.
  virtual void Destroy() = 0;

  GrpcLoop& loop() { return loop_; }
  std::shared_ptr<GrpcCall> Self() { return this->shared_from_this(); }

  // Count operations that are under way. BeginOperation from any thread.
  void BeginOperation();
  void EndOperation();
  // Messages may flow from now on.
  void OpenReading();
  void OpenWriting();
  // gRPC's last word. When the operations that are still under way have ended, so has the call.
  void End(absl::Status status);
  // Tells the handler, now or when there is one.
  void Close(absl::Status status);
  void DropHandler() { handler_ = nullptr; }

 private:
  void ReadNext();
  void OnRead(bool ok);
  void Deliver(In message);
  void TellClosed();
  void WriteNext();
  // On any thread: whether a write that ended has nothing to set off.
  bool SettleWritten(bool ok);
  void OnWritten(bool ok);

  GrpcLoop& loop_;

  // On the loop only.
  Handler* handler_ = nullptr;
  bool released_ = false;
  bool readable_ = false;
  bool reading_ = true;
  bool read_under_way_ = false;
  bool read_ended_ = false;
  bool destroyed_ = false;
  std::optional<absl::Status> end_;     // gRPC's last word
  std::optional<absl::Status> closed_;  // what the handler hears, until it has
  In incoming_;
  std::optional<In> held_;  // came while reading was off
  GrpcTag<GrpcCall> read_tag_{loop_, &GrpcCall::OnRead};

  mutable absl::Mutex mutex_;
  int operations_ ABSL_GUARDED_BY(mutex_) = 0;
  bool writable_ ABSL_GUARDED_BY(mutex_) = false;
  bool write_under_way_ ABSL_GUARDED_BY(mutex_) = false;
  bool dropping_ ABSL_GUARDED_BY(mutex_) = false;  // nobody will get what is written
  std::deque<Out> outbox_ ABSL_GUARDED_BY(mutex_);
  std::size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<absl::Status> finish_ ABSL_GUARDED_BY(mutex_);
  bool finish_issued_ ABSL_GUARDED_BY(mutex_) = false;
  Out sending_;  // belongs to the write under way
  GrpcTag<GrpcCall> write_tag_{loop_, &GrpcCall::OnWritten, &GrpcCall::SettleWritten};
};

// The stream of a call.
template <class Out, class In>
class GrpcStream final : public Stream<Out, In> {
 public:
  using Handler = typename Stream<Out, In>::Handler;

  explicit GrpcStream(std::shared_ptr<GrpcCall<Out, In>> call) : call_(std::move(call)) {}
  ~GrpcStream() override { call_->Release(); }

  void Start(Handler& handler) override { call_->Start(handler); }
  void Write(Out message) override { call_->Write(std::move(message)); }
  std::size_t queued_bytes() const override { return call_->queued_bytes(); }
  void SetReading(bool on) override { call_->SetReading(on); }
  void Finish(absl::Status status) override { call_->Finish(std::move(status)); }

 private:
  const std::shared_ptr<GrpcCall<Out, In>> call_;
};

extern template class GrpcCall<v1::ControlUp, v1::ControlDown>;
extern template class GrpcCall<v1::ControlDown, v1::ControlUp>;
extern template class GrpcCall<v1::Frame, v1::Frame>;

}  // namespace fallow
