#include "wire/grpc_call.h"

#include <type_traits>

namespace fallow {
namespace {

// How long a finished call may take to send its end after its stream is gone.
constexpr absl::Duration kLinger = absl::Seconds(5);

// When it is asked for the next message gRPC (1.51) first sends the other side a window update,
// which costs tens of microseconds. After a message up to this size, a step of decoding, that waits
// until what the message has set off is done; behind larger ones, a prompt's, there are more at
// once.
constexpr std::size_t kSmallMessage = 16 << 10;

template <class Out>
constexpr bool kTellsDrained = std::is_same_v<Out, v1::Frame>;

}  // namespace

template <class Out, class In>
void GrpcCall<Out, In>::Start(Handler& handler) {
  handler_ = &handler;
  if (closed_.has_value()) {
    loop_.Post([self = Self()] { self->TellClosed(); });
  }
  ReadNext();
}

template <class Out, class In>
void GrpcCall<Out, In>::Write(Out message) {
  {
    absl::MutexLock lock(&mutex_);
    if (dropping_ || finish_.has_value()) {
      return;
    }
    queued_bytes_ += message.ByteSizeLong();
    outbox_.push_back(std::move(message));
  }
  WriteNext();
}

template <class Out, class In>
std::size_t GrpcCall<Out, In>::queued_bytes() const {
  absl::MutexLock lock(&mutex_);
  return queued_bytes_;
}

template <class Out, class In>
void GrpcCall<Out, In>::SetReading(bool on) {
  reading_ = on;
  if (on && held_.has_value()) {
    loop_.Post([self = Self()] {
      if (self->reading_ && self->held_.has_value()) {
        self->Deliver(*std::exchange(self->held_, std::nullopt));
        self->ReadNext();
      }
    });
  }
  ReadNext();
}

template <class Out, class In>
void GrpcCall<Out, In>::Finish(absl::Status status) {
  {
    absl::MutexLock lock(&mutex_);
    if (finish_.has_value()) {
      return;
    }
    finish_ = std::move(status);
  }
  WriteNext();
}

template <class Out, class In>
void GrpcCall<Out, In>::Release() {
  handler_ = nullptr;
  released_ = true;
  reading_ = true;
  held_ = std::nullopt;
  if (!finishing()) {
    Cancel();
    return;
  }
  loop_.After(kLinger, [call = std::weak_ptr(Self())] {
    if (const auto self = call.lock()) {
      self->Cancel();
    }
  });
  ReadNext();  // and dropped, or the end behind it would not come
}

template <class Out, class In>
void GrpcCall<Out, In>::Cancel() {
  if (!destroyed_) {
    TryCancel();
  }
}

template <class Out, class In>
bool GrpcCall<Out, In>::finishing() const {
  absl::MutexLock lock(&mutex_);
  return finish_.has_value();
}

template <class Out, class In>
void GrpcCall<Out, In>::BeginOperation() {
  absl::MutexLock lock(&mutex_);
  ++operations_;
}

template <class Out, class In>
void GrpcCall<Out, In>::EndOperation() {
  {
    absl::MutexLock lock(&mutex_);
    --operations_;
    if (operations_ > 0 || !end_.has_value()) {
      return;
    }
  }
  destroyed_ = true;
  Destroy();
  loop_.Remove(*this);
  Close(*std::move(end_));
}

template <class Out, class In>
void GrpcCall<Out, In>::OpenReading() {
  readable_ = true;
  ReadNext();
}

template <class Out, class In>
void GrpcCall<Out, In>::OpenWriting() {
  {
    absl::MutexLock lock(&mutex_);
    writable_ = true;
  }
  WriteNext();
}

template <class Out, class In>
void GrpcCall<Out, In>::End(absl::Status status) {
  end_ = std::move(status);
  readable_ = false;
  absl::MutexLock lock(&mutex_);
  writable_ = false;
  dropping_ = true;
  outbox_.clear();
  queued_bytes_ = 0;
}

template <class Out, class In>
void GrpcCall<Out, In>::Close(absl::Status status) {
  if (!closed_.has_value()) {
    closed_ = std::move(status);
    TellClosed();
  }
}

template <class Out, class In>
void GrpcCall<Out, In>::TellClosed() {
  if (Handler* const handler = std::exchange(handler_, nullptr)) {
    handler->OnClosed(*closed_);
  }
}

template <class Out, class In>
void GrpcCall<Out, In>::ReadNext() {
  const bool wanted = reading_ && !held_.has_value() && (handler_ != nullptr || released_);
  if (wanted && readable_ && !read_under_way_ && !read_ended_) {
    read_under_way_ = true;
    BeginOperation();
    IssueRead(&incoming_, read_tag_.Begin(Self()));
  }
}

template <class Out, class In>
void GrpcCall<Out, In>::OnRead(bool ok) {
  read_under_way_ = false;
  if (!ok) {
    read_ended_ = true;
    OnReadEnded();
  } else if (!reading_) {
    held_ = std::move(incoming_);
  } else {
    const bool small = incoming_.ByteSizeLong() <= kSmallMessage;
    Deliver(std::move(incoming_));
    if (small && handler_ != nullptr) {
      loop_.Post([self = Self()] { self->ReadNext(); });
    } else {
      ReadNext();
    }
  }
  EndOperation();
}

template <class Out, class In>
void GrpcCall<Out, In>::Deliver(In message) {
  if (handler_ != nullptr) {
    handler_->OnMessage(std::move(message));
  }
}

template <class Out, class In>
void GrpcCall<Out, In>::WriteNext() {
  std::optional<absl::Status> end;
  {
    absl::MutexLock lock(&mutex_);
    if (write_under_way_ || !writable_) {
      return;
    }
    if (!outbox_.empty()) {
      sending_ = std::move(outbox_.front());
      outbox_.pop_front();
    } else if (finish_.has_value() && !finish_issued_) {
      finish_issued_ = true;
      end = finish_;
    } else {
      return;
    }
    write_under_way_ = true;
    ++operations_;
  }
  void* const tag = write_tag_.Begin(Self());
  if (end.has_value()) {
    IssueEnd(*end, tag);
  } else {
    IssueWrite(sending_, tag);
  }
}

template <class Out, class In>
bool GrpcCall<Out, In>::SettleWritten(bool ok) {
  if constexpr (kTellsDrained<Out>) {
    return false;
  }
  absl::MutexLock lock(&mutex_);
  if (!ok || dropping_ || !outbox_.empty() || finish_.has_value() || operations_ == 1) {
    return false;
  }
  write_under_way_ = false;
  queued_bytes_ -= sending_.ByteSizeLong();
  --operations_;
  return true;
}

template <class Out, class In>
void GrpcCall<Out, In>::OnWritten(bool ok) {
  bool drained = false;
  {
    absl::MutexLock lock(&mutex_);
    write_under_way_ = false;
    writable_ = writable_ && ok;
    dropping_ = dropping_ || !ok;
    if (dropping_) {
      outbox_.clear();
      queued_bytes_ = 0;
    } else if (!finish_issued_) {
      queued_bytes_ -= sending_.ByteSizeLong();
      drained = kTellsDrained<Out> && outbox_.empty();
    }
  }
  WriteNext();
  if (drained && handler_ != nullptr) {
    handler_->OnDrained();
  }
  EndOperation();
}

template class GrpcCall<v1::ControlUp, v1::ControlDown>;
template class GrpcCall<v1::ControlDown, v1::ControlUp>;
template class GrpcCall<v1::Frame, v1::Frame>;

}  // namespace fallow
