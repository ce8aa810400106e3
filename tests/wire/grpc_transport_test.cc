#include "wire/grpc_transport.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "catch2/catch_test_macros.hpp"
#include "catch2/generators/catch_generators.hpp"
#include "tests/wire/grpc_node.h"

namespace fallow {
namespace {

using absl::StatusCode;

TEST_CASE("gRPC: messages arrive whole and in order, both ways", "[wire][grpc]") {
  const bool insecure = GENERATE(false, true);
  GrpcNode node(insecure);
  GrpcCaller caller(insecure);
  caller.OpenData(node.address);
  constexpr std::size_t kCount = 300;
  for (std::size_t i = 0; i < kCount; ++i) {
    caller.data->Write(NumberedFrame(i, i * 300 % 65536));
  }
  REQUIRE(Eventually([&] { return caller.recorder.count() == kCount; }));
  bool same = true;
  const std::vector<v1::Frame> frames = caller.recorder.messages();
  for (std::size_t i = 0; i < kCount; ++i) {
    same = same && frames[i].step().step_no() == i &&
           frames[i].step().rows().size() == i * 300 % 65536;
  }
  CHECK(same);
  CHECK(Eventually([&] { return caller.recorder.drained() > 0; }));
  CHECK(caller.data->queued_bytes() == 0);
  CHECK(node.acceptor.data(0).remote == (insecure ? PeerId{} : caller.identity.peer()));
}

TEST_CASE("gRPC: control streams and Info know who asks", "[wire][grpc]") {
  GrpcNode node;
  GrpcCaller caller;
  ControlClientRecorder recorder;
  std::unique_ptr<ControlClient> stream = caller.OpenControl(node.address, recorder);
  v1::ControlUp up;
  up.mutable_beat()->set_nonce(5);
  stream->Write(up);
  REQUIRE(Eventually([&] {
    return node.acceptor.controls() == 1 && node.acceptor.control(0).recorder->count() == 1;
  }));
  auto& accepted = node.acceptor.control(0);
  CHECK(accepted.remote == caller.identity.peer());
  CHECK(accepted.recorder->messages()[0].beat().nonce() == 5);
  v1::ControlDown down;
  down.mutable_beat()->set_nonce(6);
  accepted.stream->Write(down);
  REQUIRE(Eventually([&] { return recorder.count() == 1; }));
  CHECK(recorder.messages()[0].beat().nonce() == 6);

  const auto info = caller.Info(node.address, absl::Seconds(10));
  REQUIRE(info.ok());
  CHECK(info->numeric_class() == caller.identity.peer().ToString());
  OnLoop(*caller.loop, [&] { stream = nullptr; });
  CHECK(Eventually([&] { return accepted.recorder->closed_with(StatusCode::kUnavailable); }));
}

TEST_CASE("gRPC: control messages that another loop's thread saw sent, then the end",
          "[wire][grpc]") {
  GrpcNode node;
  GrpcCaller caller;
  ControlClientRecorder recorder;
  std::unique_ptr<ControlClient> stream = caller.OpenControl(node.address, recorder);
  REQUIRE(Eventually([&] { return node.acceptor.controls() == 1; }));
  auto& accepted = node.acceptor.control(0);
  v1::ControlDown down;
  for (int i = 1; i <= 100; ++i) {
    down.mutable_beat()->set_nonce(i);
    accepted.stream->Write(down);
    if (i % 3 == 0) {
      REQUIRE(Eventually([&] { return accepted.stream->queued_bytes() == 0; }));
    }
  }
  OnLoop(*node.control, [&] {
    accepted.stream->Finish(absl::ResourceExhaustedError("no room"));
    accepted.stream = nullptr;
  });
  REQUIRE(Eventually([&] { return recorder.closed().has_value(); }));
  CHECK(recorder.closed_with(StatusCode::kResourceExhausted));
  const std::vector<v1::ControlDown> messages = recorder.messages();
  REQUIRE(messages.size() == 100);
  CHECK(messages[99].beat().nonce() == 100);
  OnLoop(*caller.loop, [&] { stream = nullptr; });
}

TEST_CASE("gRPC: what was written before Finish arrives, then the end", "[wire][grpc]") {
  GrpcNode node;
  node.acceptor.on_data = nullptr;
  GrpcCaller caller;
  caller.OpenData(node.address);
  caller.data->Write(NumberedFrame(1, 60'000));
  caller.data->Write(NumberedFrame(2, 60'000));
  OnLoop(*caller.loop, [&] { caller.data->Finish(absl::OkStatus()); });
  caller.data->Write(NumberedFrame(3));  // too late
  REQUIRE(Eventually([&] {
    return node.acceptor.datas() == 1 && node.acceptor.data(0).recorder->closed().has_value();
  }));
  auto& accepted = node.acceptor.data(0);
  CHECK(accepted.recorder->closed()->ok());
  CHECK(accepted.recorder->count() == 2);
  OnLoop(*node.data, [&] {
    accepted.stream->Write(NumberedFrame(4, 60'000));
    accepted.stream->Finish(absl::ResourceExhaustedError("no room"));
    accepted.stream = nullptr;  // what is queued is sent all the same
  });
  REQUIRE(caller.ClosedWith(StatusCode::kResourceExhausted));
  CHECK(caller.recorder.closed()->message() == "no room");
  CHECK(caller.recorder.count() == 1);
}

TEST_CASE("gRPC: a client that finished may go before its messages have", "[wire][grpc]") {
  GrpcNode node;
  node.acceptor.on_data = nullptr;
  GrpcCaller caller;
  caller.OpenData(node.address);
  OnLoop(*caller.loop, [&] {
    for (int i = 0; i < 20; ++i) {
      caller.data->Write(NumberedFrame(i, 60'000));
    }
    caller.data->Finish(absl::OkStatus());
    caller.data = nullptr;
  });
  REQUIRE(Eventually([&] {
    return node.acceptor.datas() == 1 && node.acceptor.data(0).recorder->closed().has_value();
  }));
  CHECK(node.acceptor.data(0).recorder->closed()->ok());
  CHECK(node.acceptor.data(0).recorder->count() == 20);
}

TEST_CASE("gRPC: a stream that is destroyed breaks at the other end", "[wire][grpc]") {
  GrpcNode node;
  GrpcCaller caller;
  caller.OpenData(node.address);
  REQUIRE(Eventually([&] { return node.acceptor.datas() == 1; }));
  auto& accepted = node.acceptor.data(0);
  SECTION("by the opener") {
    caller.CloseData();
    CHECK(Eventually([&] { return accepted.recorder->closed_with(StatusCode::kUnavailable); }));
    CHECK_FALSE(caller.recorder.closed().has_value());
  }
  SECTION("by the opener, while the acceptor reads nothing") {
    OnLoop(*node.data, [&] { accepted.stream->SetReading(false); });
    caller.data->Write(NumberedFrame(1));
    caller.CloseData();
    CHECK(Eventually([&] { return accepted.recorder->closed_with(StatusCode::kUnavailable); }));
  }
  SECTION("by the acceptor, within a message") {
    OnLoop(*node.data, [&] {
      accepted.recorder->on_message = [&](const v1::Frame&) { accepted.stream = nullptr; };
    });
    caller.data->Write(NumberedFrame(1));
    caller.data->Write(NumberedFrame(2));
    CHECK(caller.ClosedWith(StatusCode::kUnavailable));
    CHECK(accepted.recorder->count() == 1);
    caller.data->Write(NumberedFrame(3));
    CHECK(caller.data->queued_bytes() == 0);
  }
  SECTION("with the listener, while neither reads") {
    OnLoop(*caller.loop, [&] { caller.data->SetReading(false); });
    OnLoop(*node.data, [&] { accepted.stream->SetReading(false); });
    node.listener = nullptr;
    CHECK(caller.ClosedWith(StatusCode::kUnavailable));
    CHECK(Eventually([&] { return accepted.recorder->closed_with(StatusCode::kUnavailable); }));
  }
}

TEST_CASE("gRPC: who does not read holds the writer back", "[wire][grpc]") {
  GrpcNode node;
  node.acceptor.on_data = [](auto& accepted) { accepted.stream->SetReading(false); };
  GrpcCaller caller;
  caller.OpenData(node.address);
  constexpr std::size_t kFrameBytes = 64 << 10;
  constexpr std::size_t kTotalBytes = 64 << 20;
  for (std::size_t sent = 0; sent < kTotalBytes; sent += kFrameBytes) {
    caller.data->Write(NumberedFrame(sent, kFrameBytes));
  }
  std::size_t before = 0;
  REQUIRE(Eventually([&] {  // nothing has moved for a while
    absl::SleepFor(absl::Milliseconds(100));
    return node.acceptor.datas() == 1 &&
           before == std::exchange(before, caller.data->queued_bytes());
  }));
  CHECK(caller.data->queued_bytes() > kTotalBytes / 2);
  auto& accepted = node.acceptor.data(0);
  CHECK(accepted.recorder->count() == 0);
  OnLoop(*node.data, [&] { accepted.stream->SetReading(true); });
  REQUIRE(Eventually([&] { return accepted.recorder->count() == kTotalBytes / kFrameBytes; }));
  CHECK(Eventually([&] { return caller.data->queued_bytes() == 0; }));
}

TEST_CASE("gRPC: a message that came while reading was off is kept", "[wire][grpc]") {
  GrpcNode node;
  node.acceptor.on_data = [](auto& accepted) {
    accepted.recorder->on_message = [&accepted](const v1::Frame&) {
      accepted.stream->SetReading(false);
    };
  };
  GrpcCaller caller;
  caller.OpenData(node.address);
  for (int i = 0; i < 10; ++i) {
    caller.data->Write(NumberedFrame(i));
  }
  for (std::size_t i = 1; i <= 10; ++i) {
    REQUIRE(Eventually([&] {
      return node.acceptor.datas() == 1 && node.acceptor.data(0).recorder->count() == i;
    }));
    auto& accepted = node.acceptor.data(0);
    OnLoop(*node.data, [&] { accepted.stream->SetReading(false); });
    CHECK(accepted.recorder->messages().back().step().step_no() == i - 1);
    OnLoop(*node.data, [&] {
      accepted.stream->SetReading(true);
      accepted.stream->SetReading(false);
      accepted.stream->SetReading(true);
    });
  }
}

TEST_CASE("gRPC: Info ends in time when nobody answers", "[wire][grpc]") {
  absl::Notification busy, free;
  GrpcNode node;  // whose loop may still look at `free` while it ends
  GrpcCaller caller;
  REQUIRE(caller.Info(node.address, absl::Seconds(10)).ok());
  node.control->Post([&] {
    busy.Notify();
    free.WaitForNotification();
  });
  busy.WaitForNotification();
  CHECK(caller.Info(node.address, absl::Milliseconds(200)).status().code() ==
        StatusCode::kDeadlineExceeded);
  free.Notify();
}

TEST_CASE("gRPC: a refused connection is reported, and does not time out", "[wire][grpc]") {
  GrpcCaller caller;
  PeerAddress nobody;
  {
    const GrpcNode node;
    nobody = node.address;
  }
  caller.OpenData(nobody);
  caller.data->Write(NumberedFrame(1));
  CHECK(caller.ClosedWith(StatusCode::kUnavailable));
  CHECK(caller.Info(nobody, absl::Seconds(20)).status().code() == StatusCode::kUnavailable);
  CHECK(caller.data->queued_bytes() == 0);
}

TEST_CASE("gRPC: a peer that restarts is reached at once", "[wire][grpc]") {
  auto node = std::make_unique<GrpcNode>();
  GrpcCaller caller;
  caller.OpenData(node->address);
  caller.data->Write(NumberedFrame(1));
  REQUIRE(Eventually([&] { return caller.recorder.count() == 1; }));
  const std::string host_port = node->listener->host_port();
  node->listener = nullptr;
  REQUIRE(caller.ClosedWith(StatusCode::kUnavailable));
  CHECK(caller.Info(node->address, absl::Seconds(5)).status().code() == StatusCode::kUnavailable);

  const std::unique_ptr<Loop> control = node->transport->NewLoop("control");
  auto again = node->transport->Listen(host_port, node->acceptor, *control, *node->data);
  REQUIRE(again.ok());
  CHECK(caller.Info(node->address, absl::Seconds(5)).ok());
  again->reset();
  node = nullptr;
}

TEST_CASE("gRPC: a port is taken once, a control loop too", "[wire][grpc]") {
  GrpcNode node;
  const std::unique_ptr<Loop> control = node.transport->NewLoop("control");
  const auto listen = [&](const std::string& host_port, Loop& loop) {
    return node.transport->Listen(host_port, node.acceptor, loop, *node.data).status().code();
  };
  CHECK(listen("127.0.0.1", *control) == StatusCode::kInvalidArgument);
  CHECK(listen(node.listener->host_port(), *control) == StatusCode::kUnavailable);
  CHECK(listen("127.0.0.1:0", *node.control) == StatusCode::kFailedPrecondition);
}

TEST_CASE("gRPC: two peers call each other", "[wire][grpc]") {
  GrpcNode a, b;
  DataRecorder from_a, from_b;
  std::unique_ptr<DataStream> to_a, to_b;
  OnLoop(*a.data, [&] {
    to_b = a.transport->OpenData(b.address, *a.data);
    to_b->Start(from_b);
  });
  OnLoop(*b.data, [&] {
    to_a = b.transport->OpenData(a.address, *b.data);
    to_a->Start(from_a);
  });
  to_a->Write(NumberedFrame(1));
  to_b->Write(NumberedFrame(2));
  CHECK(Eventually([&] { return from_a.count() == 1 && from_b.count() == 1; }));
  CHECK(a.acceptor.data(0).remote == b.identity.peer());
  CHECK(b.acceptor.data(0).remote == a.identity.peer());
  OnLoop(*a.data, [&] { to_b = nullptr; });
  OnLoop(*b.data, [&] { to_a = nullptr; });
}

TEST_CASE("gRPC: a hundred streams come and go", "[wire][grpc]") {
  GrpcNode node;
  GrpcCaller caller;
  constexpr int kStreams = 100;
  std::vector<std::unique_ptr<DataStream>> streams;
  std::vector<std::unique_ptr<DataRecorder>> recorders;
  OnLoop(*caller.loop, [&] {
    for (int i = 0; i < kStreams; ++i) {
      recorders.push_back(std::make_unique<DataRecorder>());
      streams.push_back(caller.transport->OpenData(node.address, *caller.loop));
      streams.back()->Start(*recorders.back());
      streams.back()->Write(NumberedFrame(i, 1000));
      if (i % 3 == 0) {  // some before they are open
        streams.back() = nullptr;
      }
    }
  });
  for (int i = 0; i < kStreams; ++i) {
    const std::size_t echoed = i % 3 == 0 ? 0 : 1;
    CHECK(Eventually([&] { return recorders[i]->count() == echoed; }));
  }
  OnLoop(*caller.loop, [&] { streams.clear(); });
  CHECK(Eventually([&] {
    for (std::size_t i = 0; i < node.acceptor.datas(); ++i) {
      if (!node.acceptor.data(i).recorder->closed().has_value()) {
        return false;
      }
    }
    return true;
  }));
}

TEST_CASE("gRPC: everything can be destroyed in any order", "[wire][grpc]") {
  const int order = GENERATE(0, 1, 2, 3, 4, 5);
  const bool wait = GENERATE(false, true);
  CAPTURE(order, wait);
  auto node = std::make_unique<GrpcNode>();
  auto caller = std::make_unique<GrpcCaller>();
  caller->OpenData(node->address);
  for (int i = 0; i < 50; ++i) {
    caller->data->Write(NumberedFrame(i, 60'000));
  }
  if (wait) {
    REQUIRE(Eventually([&] { return caller->recorder.count() > 5; }));
  }
  switch (order) {
    case 0:  // the server, then the client
      node = nullptr;
      caller = nullptr;
      break;
    case 1:  // the client, then the server
      caller = nullptr;
      node = nullptr;
      break;
    case 2:  // the listener, with its streams still held
      node->listener = nullptr;
      caller = nullptr;
      break;
    case 3:  // the server's streams before the listener
      OnLoop(*node->data, [&] { node->acceptor.Clear(); });
      node = nullptr;
      break;
    case 4:  // finished on both sides and gone at once
      OnLoop(*caller->loop, [&] { caller->data->Finish(absl::OkStatus()); });
      caller = nullptr;
      break;
    case 5:  // with a question under way
      caller->transport->Info(node->address, absl::Seconds(30), *caller->loop, [](auto) {});
      caller = nullptr;
      break;
  }
}

}  // namespace
}  // namespace fallow
