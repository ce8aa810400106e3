// Loops that share a completion queue: who reads for whom, and when.

#include <memory>

#include "absl/synchronization/notification.h"
#include "catch2/catch_test_macros.hpp"
#include "tests/wire/grpc_node.h"
#include "tests/wire/stream_recorder.h"

namespace fallow {
namespace {

// Two loops that share a queue.
struct TwoLoops {
  std::unique_ptr<Loop>& loop(bool standing_by) { return standing_by ? stands_by : first; }

  std::unique_ptr<Transport> transport;
  std::unique_ptr<Loop> first = transport->NewLoop("first");
  std::unique_ptr<Loop> stands_by = transport->NewLoopBeside(*first, "stands by");
};

TwoLoops NewTwoLoops() {
  const Identity identity = Identity::Generate();
  return {.transport = MakeGrpcTransport(&identity, /*insecure=*/false)};
}

// Whether the node answers on a stream of this loop.
bool Echoes(Transport& transport, Loop& loop, const GrpcNode& node) {
  DataRecorder recorder;
  std::unique_ptr<DataStream> stream;
  OnLoop(loop, [&] {
    stream = transport.OpenData(node.address, loop);
    stream->Start(recorder);
  });
  stream->Write(NumberedFrame(1));
  const bool answered = Eventually([&] { return recorder.count() == 1; });
  OnLoop(loop, [&] { stream = nullptr; });
  return answered;
}

TEST_CASE("gRPC: a busy data loop holds up neither control streams nor Info", "[wire][grpc]") {
  absl::Notification busy, free;
  GrpcNode node;
  node.acceptor.on_control = [](auto& accepted) {
    accepted.recorder->on_message = [&accepted](const v1::ControlUp& up) {
      v1::ControlDown down;
      down.mutable_beat()->set_nonce(up.beat().nonce());
      accepted.stream->Write(down);
    };
  };
  GrpcCaller caller;
  caller.OpenData(node.address);
  caller.data->Write(NumberedFrame(1));
  REQUIRE(Eventually([&] { return caller.recorder.count() == 1; }));

  node.data->Post([&] {
    busy.Notify();
    free.WaitForNotification();
  });
  busy.WaitForNotification();
  caller.data->Write(NumberedFrame(2));
  ControlClientRecorder recorder;
  std::unique_ptr<ControlClient> stream = caller.OpenControl(node.address, recorder);
  v1::ControlUp up;
  up.mutable_beat()->set_nonce(9);
  stream->Write(up);
  CHECK(Eventually([&] { return recorder.count() == 1; }));
  CHECK(caller.Info(node.address, absl::Seconds(10)).ok());
  CHECK(caller.recorder.count() == 1);
  free.Notify();
  CHECK(Eventually([&] { return caller.recorder.count() == 2; }));
  OnLoop(*caller.loop, [&] { stream = nullptr; });
}

TEST_CASE("gRPC: loops at one queue both have timers, tasks and streams", "[wire][grpc]") {
  GrpcNode node;
  TwoLoops loops = NewTwoLoops();
  for (const bool standing_by : {false, true, false}) {
    Loop& loop = *loops.loop(standing_by);
    absl::Notification due;
    loop.After(absl::Milliseconds(5), [&] { due.Notify(); });
    due.WaitForNotification();
    CHECK(Echoes(*loops.transport, loop, node));
  }
}

TEST_CASE("gRPC: a loop that was busy gets its queue back", "[wire][grpc]") {
  GrpcNode node;
  TwoLoops loops = NewTwoLoops();
  for (int i = 0; i < 10; ++i) {
    absl::Notification busy, free;
    loops.first->Post([&] {
      busy.Notify();
      free.WaitForNotification();
    });
    busy.WaitForNotification();
    CHECK(Echoes(*loops.transport, *loops.stands_by, node));
    free.Notify();
    CHECK(Echoes(*loops.transport, *loops.first, node));
  }
}

TEST_CASE("gRPC: loops at one queue end in any order", "[wire][grpc]") {
  GrpcNode node;
  for (const bool first_goes : {true, false}) {
    TwoLoops loops = NewTwoLoops();
    REQUIRE(Echoes(*loops.transport, *loops.first, node));
    REQUIRE(Echoes(*loops.transport, *loops.stands_by, node));
    loops.loop(!first_goes) = nullptr;
    CHECK(Echoes(*loops.transport, *loops.loop(first_goes), node));
    loops.loop(first_goes) = nullptr;
  }
}

}  // namespace
}  // namespace fallow
