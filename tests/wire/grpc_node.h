// A peer with a gRPC transport that listens on this machine, for tests.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "catch2/catch_test_macros.hpp"
#include "tests/wire/stream_recorder.h"
#include "wire/grpc_transport.h"

namespace fallow {

// Real sockets take real time: asks until it is so, or 30 s are over.
inline bool Eventually(absl::FunctionRef<bool()> holds) {
  const absl::Time end = absl::Now() + absl::Seconds(30);
  while (!holds()) {
    if (absl::Now() > end) {
      return false;
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

// Runs `function` on the loop and waits for it.
inline void OnLoop(Loop& loop, absl::FunctionRef<void()> function) {
  absl::Notification done;
  loop.Post([&] {
    function();
    done.Notify();
  });
  done.WaitForNotification();
}

struct GrpcNode {
  explicit GrpcNode(bool insecure = false)
      : identity(Identity::Generate()), transport(MakeGrpcTransport(&identity, insecure)) {
    acceptor.on_data = [](auto& accepted) {  // echoes
      accepted.recorder->on_message = [&accepted](const v1::Frame& frame) {
        if (accepted.stream != nullptr) {
          accepted.stream->Write(frame);
        }
      };
    };
    Listen("127.0.0.1:0");
  }

  ~GrpcNode() {
    listener = nullptr;
    OnLoop(*control, [&] { OnLoop(*data, [&] { acceptor.Clear(); }); });
  }

  void Listen(const std::string& host_port) {
    auto listening = transport->Listen(host_port, acceptor, *control, *data);
    REQUIRE(listening.ok());
    listener = *std::move(listening);
    address = PeerAddress::Parse(listener->host_port() + "#" + identity.peer().ToString()).value();
  }

  const Identity identity;
  const std::unique_ptr<Transport> transport;
  RecordingAcceptor acceptor;
  std::unique_ptr<Loop> data = transport->NewLoop("data");
  std::unique_ptr<Loop> control = transport->NewLoopBeside(*data, "control");
  std::unique_ptr<Listener> listener;
  PeerAddress address;
};

// A peer that only calls others, and one data stream of it.
struct GrpcCaller {
  explicit GrpcCaller(bool insecure = false)
      : identity(Identity::Generate()), transport(MakeGrpcTransport(&identity, insecure)) {}

  ~GrpcCaller() { CloseData(); }

  void OpenData(const PeerAddress& peer) {
    OnLoop(*loop, [&] {
      data = transport->OpenData(peer, *loop);
      data->Start(recorder);
    });
  }

  std::unique_ptr<ControlClient> OpenControl(const PeerAddress& peer,
                                             ControlClient::Handler& handler) {
    std::unique_ptr<ControlClient> stream;
    OnLoop(*loop, [&] {
      stream = transport->OpenControl(peer, *loop);
      stream->Start(handler);
    });
    return stream;
  }

  void CloseData() {
    OnLoop(*loop, [&] { data = nullptr; });
  }

  bool ClosedWith(absl::StatusCode code) {
    return Eventually([&] { return recorder.closed().has_value(); }) && recorder.closed_with(code);
  }

  absl::StatusOr<v1::InfoReply> Info(const PeerAddress& peer, absl::Duration timeout) {
    absl::StatusOr<v1::InfoReply> reply;
    absl::Notification done;
    transport->Info(peer, timeout, *loop, [&](auto answer) {
      reply = std::move(answer);
      done.Notify();
    });
    REQUIRE(done.WaitForNotificationWithTimeout(absl::Seconds(30)));
    return reply;
  }

  const Identity identity;
  const std::unique_ptr<Transport> transport;
  const std::unique_ptr<Loop> loop = transport->NewLoop("caller");
  DataRecorder recorder;
  std::unique_ptr<DataStream> data;
};

}  // namespace fallow
