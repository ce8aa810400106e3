// Handlers and acceptors that keep what they are given, for tests of transports.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "wire/transport.h"

namespace fallow {

// May be asked from any thread, while it is called on the stream's.
template <class In, class Handler>
class StreamRecorder final : public Handler {
 public:
  // Called on the loop with each message, after it was kept.
  std::function<void(const In&)> on_message;

  void OnMessage(In message) override {
    {
      absl::MutexLock lock(&mutex_);
      messages_.push_back(message);
    }
    if (on_message) {
      on_message(message);
    }
  }
  void OnClosed(absl::Status status) override {
    absl::MutexLock lock(&mutex_);
    closed_ = std::move(status);
  }
  void OnDrained() override {
    absl::MutexLock lock(&mutex_);
    ++drained_;
  }

  std::vector<In> messages() const {
    absl::MutexLock lock(&mutex_);
    return messages_;
  }
  std::size_t count() const {
    absl::MutexLock lock(&mutex_);
    return messages_.size();
  }
  std::optional<absl::Status> closed() const {
    absl::MutexLock lock(&mutex_);
    return closed_;
  }
  bool closed_with(absl::StatusCode code) const {
    const std::optional<absl::Status> status = closed();
    return status.has_value() && status->code() == code;
  }
  int drained() const {
    absl::MutexLock lock(&mutex_);
    return drained_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<In> messages_;
  std::optional<absl::Status> closed_;
  int drained_ = 0;
};

using DataRecorder = StreamRecorder<v1::Frame, DataStream::Handler>;
using ControlClientRecorder = StreamRecorder<v1::ControlDown, ControlClient::Handler>;
using ControlServerRecorder = StreamRecorder<v1::ControlUp, ControlServer::Handler>;

// Accepts all streams, or does with them what the test says. Its streams must be destroyed (Clear,
// on their loops or when these stand still) before the loops are.
class RecordingAcceptor final : public Acceptor {
 public:
  template <class S, class Recorder>
  struct Accepted {
    PeerId remote;
    std::unique_ptr<S> stream;
    std::unique_ptr<Recorder> recorder;
  };
  using AcceptedControl = Accepted<ControlServer, ControlServerRecorder>;
  using AcceptedData = Accepted<DataStream, DataRecorder>;

  // Called on the loop with each stream, before it is started.
  std::function<void(AcceptedData&)> on_data;
  std::function<void(AcceptedControl&)> on_control;

  v1::InfoReply OnInfo(const PeerId& remote) override {
    v1::InfoReply reply;
    reply.set_numeric_class(remote.empty() ? "nobody" : remote.ToString());
    return reply;
  }
  void OnControl(const PeerId& remote, std::unique_ptr<ControlServer> stream) override {
    Accept(remote, std::move(stream), control_, on_control);
  }
  void OnData(const PeerId& remote, std::unique_ptr<DataStream> stream) override {
    Accept(remote, std::move(stream), data_, on_data);
  }

  std::size_t controls() const {
    absl::MutexLock lock(&mutex_);
    return control_.size();
  }
  std::size_t datas() const {
    absl::MutexLock lock(&mutex_);
    return data_.size();
  }
  // References stay valid until Clear.
  AcceptedControl& control(std::size_t i) {
    absl::MutexLock lock(&mutex_);
    return *control_.at(i);
  }
  AcceptedData& data(std::size_t i) {
    absl::MutexLock lock(&mutex_);
    return *data_.at(i);
  }
  void Clear() {
    decltype(control_) control;
    decltype(data_) data;
    absl::MutexLock lock(&mutex_);
    control.swap(control_);
    data.swap(data_);
  }

 private:
  template <class S, class Recorder>
  void Accept(const PeerId& remote, std::unique_ptr<S> stream,
              std::vector<std::unique_ptr<Accepted<S, Recorder>>>& all,
              const std::function<void(Accepted<S, Recorder>&)>& hook) {
    auto accepted = std::make_unique<Accepted<S, Recorder>>(
        Accepted<S, Recorder>{remote, std::move(stream), std::make_unique<Recorder>()});
    Accepted<S, Recorder>& kept = *accepted;
    if (hook) {
      hook(kept);
    }
    if (kept.stream != nullptr) {
      kept.stream->Start(*kept.recorder);
    }
    absl::MutexLock lock(&mutex_);
    all.push_back(std::move(accepted));
  }

  mutable absl::Mutex mutex_;
  std::vector<std::unique_ptr<AcceptedControl>> control_;
  std::vector<std::unique_ptr<AcceptedData>> data_;
};

// A frame that can be told from others, of at least `bytes`.
inline v1::Frame NumberedFrame(std::uint64_t number, std::size_t bytes = 0) {
  v1::Frame frame;
  frame.mutable_step()->set_step_no(number);
  frame.mutable_step()->set_rows(std::string(bytes, 'x'));
  return frame;
}

}  // namespace fallow
