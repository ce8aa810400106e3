#include "wire/loopback_transport.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "catch2/catch_test_macros.hpp"
#include "tests/wire/stream_recorder.h"

namespace fallow {
namespace {

constexpr absl::Duration kLimit = absl::Minutes(1);

PeerId PeerNumber(int i) {
  PeerId peer;
  peer.bytes[0] = static_cast<std::uint8_t>(i);
  return peer;
}

// A server and a client under a manual clock, with 10 ms and 1 us a byte between them.
struct TwoPeers {
  explicit TwoPeers(std::uint64_t seed = 0) : time(seed) { Restart(); }
  ~TwoPeers() {
    listener.reset();
    acceptor.Clear();
  }

  // Attaches the server, and lets it listen where it did before.
  void Restart() {
    acceptor.Clear();
    listener.reset();
    control = nullptr;
    data = nullptr;
    server = network.Attach(PeerNumber(1));
    control = server->NewLoop("control");
    data = server->NewLoop("data");
    auto listening = server->Listen("loopback:7", acceptor, *control, *data);
    REQUIRE(listening.ok());
    listener = *std::move(listening);
  }

  bool Until(absl::FunctionRef<bool()> done) { return time.RunUntil(done, kLimit); }

  std::unique_ptr<DataStream> OpenData(DataRecorder& recorder) {
    auto stream = client->OpenData(address, *loop);
    stream->Start(recorder);
    return stream;
  }

  ManualTime time;
  LoopbackNetwork network{{.time = &time, .delay = [](auto&, auto&, std::size_t bytes) {
                             return absl::Milliseconds(10) + bytes * absl::Microseconds(1);
                           }}};
  const PeerAddress address{"loopback", 7, PeerNumber(1)};
  RecordingAcceptor acceptor;
  std::unique_ptr<Transport> server;
  std::unique_ptr<Loop> control, data;
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Transport> client = network.Attach(PeerNumber(2));
  std::unique_ptr<Loop> loop = client->NewLoop("client");
};

TEST_CASE("loopback: messages arrive whole, in order and after the link's delay",
          "[wire][loopback]") {
  TwoPeers peers;
  DataRecorder recorder;
  const auto stream = peers.OpenData(recorder);
  const absl::Time start = peers.time.Now();
  stream->Write(NumberedFrame(1, 5000));
  stream->Write(NumberedFrame(2));  // smaller, but must not overtake
  CHECK(stream->queued_bytes() > 5000);
  REQUIRE(peers.Until([&] { return peers.acceptor.datas() == 1; }));
  auto& accepted = peers.acceptor.data(0);
  CHECK(accepted.remote == PeerNumber(2));
  REQUIRE(peers.Until([&] { return accepted.recorder->count() == 2; }));
  CHECK(peers.time.Now() - start >= absl::Milliseconds(15));
  CHECK(peers.time.Now() - start < absl::Milliseconds(16));
  CHECK(accepted.recorder->messages()[0].step().rows().size() == 5000);
  CHECK(accepted.recorder->messages()[1].step().step_no() == 2);
  REQUIRE(peers.Until([&] { return recorder.drained() > 0; }));
  CHECK(stream->queued_bytes() == 0);

  accepted.stream->Write(NumberedFrame(3));
  REQUIRE(peers.Until([&] { return recorder.count() == 1; }));
  CHECK(recorder.messages()[0].step().step_no() == 3);
}

TEST_CASE("loopback: control streams and Info know who asks", "[wire][loopback]") {
  TwoPeers peers;
  ControlClientRecorder recorder;
  const auto stream = peers.client->OpenControl(peers.address, *peers.loop);
  stream->Start(recorder);
  v1::ControlUp up;
  up.mutable_beat()->set_nonce(5);
  stream->Write(up);
  REQUIRE(peers.Until([&] { return peers.acceptor.controls() == 1; }));
  auto& accepted = peers.acceptor.control(0);
  CHECK(accepted.remote == PeerNumber(2));
  REQUIRE(peers.Until([&] { return accepted.recorder->count() == 1; }));
  CHECK(accepted.recorder->messages()[0].beat().nonce() == 5);

  std::optional<absl::StatusOr<v1::InfoReply>> info;
  peers.client->Info(peers.address, absl::Seconds(1), *peers.loop,
                     [&](auto reply) { info = std::move(reply); });
  REQUIRE(peers.Until([&] { return info.has_value(); }));
  REQUIRE(info->ok());
  CHECK((*info)->numeric_class() == PeerNumber(2).ToString());
}

TEST_CASE("loopback: what was written before Finish arrives, then the end", "[wire][loopback]") {
  TwoPeers peers;
  DataRecorder recorder;
  auto stream = peers.OpenData(recorder);
  stream->Write(NumberedFrame(1));
  stream->Finish(absl::OkStatus());
  stream->Write(NumberedFrame(2));  // too late
  REQUIRE(peers.Until([&] { return peers.acceptor.datas() == 1; }));
  auto& accepted = peers.acceptor.data(0);
  REQUIRE(peers.Until([&] { return accepted.recorder->closed().has_value(); }));
  CHECK(accepted.recorder->closed()->ok());
  CHECK(accepted.recorder->count() == 1);

  accepted.stream->Write(NumberedFrame(3));
  accepted.stream->Finish(absl::ResourceExhaustedError("no room"));
  accepted.stream = nullptr;  // what is under way still arrives
  REQUIRE(peers.Until([&] { return recorder.closed().has_value(); }));
  CHECK(recorder.count() == 1);
  CHECK(*recorder.closed() == absl::ResourceExhaustedError("no room"));
}

TEST_CASE("loopback: a stream that is destroyed breaks at the other end", "[wire][loopback]") {
  TwoPeers peers;
  DataRecorder recorder;
  auto stream = peers.OpenData(recorder);
  REQUIRE(peers.Until([&] { return peers.acceptor.datas() == 1; }));
  SECTION("by the opener") {
    stream = nullptr;
    auto& accepted = *peers.acceptor.data(0).recorder;
    REQUIRE(peers.Until([&] { return accepted.closed_with(absl::StatusCode::kUnavailable); }));
  }
  SECTION("by the acceptor, within a message") {
    auto& accepted = peers.acceptor.data(0);
    accepted.recorder->on_message = [&](const v1::Frame&) { accepted.stream = nullptr; };
    stream->Write(NumberedFrame(1));
    stream->Write(NumberedFrame(2));
    REQUIRE(peers.Until([&] { return recorder.closed_with(absl::StatusCode::kUnavailable); }));
    CHECK(accepted.recorder->count() == 1);
    CHECK(stream->queued_bytes() == 0);
  }
  SECTION("with the listener") {
    peers.listener = nullptr;
    auto& accepted = *peers.acceptor.data(0).recorder;
    REQUIRE(peers.Until([&] { return recorder.closed_with(absl::StatusCode::kUnavailable); }));
    REQUIRE(peers.Until([&] { return accepted.closed_with(absl::StatusCode::kUnavailable); }));
  }
}

TEST_CASE("loopback: nothing is delivered while reading is off", "[wire][loopback]") {
  TwoPeers peers;
  DataRecorder recorder;
  const auto stream = peers.OpenData(recorder);
  REQUIRE(peers.Until([&] { return peers.acceptor.datas() == 1; }));
  auto& accepted = peers.acceptor.data(0);
  accepted.recorder->on_message = [&](const v1::Frame& frame) {
    accepted.stream->SetReading(frame.step().step_no() != 2);
  };
  for (int i = 1; i <= 4; ++i) {
    stream->Write(NumberedFrame(i, 100));
  }
  peers.time.RunFor(absl::Seconds(1));
  CHECK(accepted.recorder->count() == 2);
  CHECK(stream->queued_bytes() > 200);
  stream->Write(NumberedFrame(5, 5000));
  accepted.stream->SetReading(true);
  peers.time.RunFor(absl::Milliseconds(1));
  CHECK(accepted.recorder->count() == 4);
  peers.time.RunFor(absl::Seconds(1));
  CHECK(accepted.recorder->count() == 5);
}

TEST_CASE("loopback: who cannot be reached is Unavailable, who is another PermissionDenied",
          "[wire][loopback]") {
  TwoPeers peers;
  PeerAddress wrong = peers.address;
  absl::StatusCode expected = absl::StatusCode::kUnavailable;
  SECTION("nobody listens there") { wrong.port = 8; }
  SECTION("the link is cut") { peers.network.Cut(PeerNumber(2), PeerNumber(1)); }
  SECTION("the listener is gone") { peers.listener = nullptr; }
  SECTION("another peer listens there") {
    wrong.peer = PeerNumber(3);
    expected = absl::StatusCode::kPermissionDenied;
  }
  DataRecorder recorder;
  const auto stream = peers.client->OpenData(wrong, *peers.loop);
  stream->Start(recorder);
  std::optional<absl::StatusOr<v1::InfoReply>> info;
  peers.client->Info(wrong, absl::Seconds(10), *peers.loop,
                     [&](auto reply) { info = std::move(reply); });
  peers.time.RunFor(absl::Seconds(1));
  CHECK(recorder.closed_with(expected));
  REQUIRE(info.has_value());
  CHECK(info->status().code() == expected);
}

TEST_CASE("loopback: a port can be taken once", "[wire][loopback]") {
  TwoPeers peers;
  const auto listen = [&](const char* host_port) {
    return peers.server->Listen(host_port, peers.acceptor, *peers.control, *peers.data);
  };
  CHECK(listen("loopback:7").status().code() == absl::StatusCode::kUnavailable);
  CHECK(listen("loopback").status().code() == absl::StatusCode::kInvalidArgument);
  const auto one = listen("loopback:0");
  const auto two = listen("loopback:0");
  REQUIRE(one.ok());
  REQUIRE(two.ok());
  CHECK((*one)->host_port() != (*two)->host_port());
}

TEST_CASE("loopback: a cut breaks streams until it is healed", "[wire][loopback]") {
  TwoPeers peers;
  DataRecorder recorder, again;
  const auto stream = peers.OpenData(recorder);
  REQUIRE(peers.Until([&] { return peers.acceptor.datas() == 1; }));
  stream->Write(NumberedFrame(1));
  peers.network.Cut(PeerNumber(1), PeerNumber(2));
  peers.time.RunFor(absl::Seconds(1));
  CHECK(recorder.closed_with(absl::StatusCode::kUnavailable));
  CHECK(peers.acceptor.data(0).recorder->closed_with(absl::StatusCode::kUnavailable));
  CHECK(peers.acceptor.data(0).recorder->count() == 0);

  peers.network.Heal(PeerNumber(1), PeerNumber(2));
  const auto second = peers.OpenData(again);
  REQUIRE(peers.Until([&] { return peers.acceptor.datas() == 2; }));
  peers.network.BreakStreams(PeerNumber(1), PeerNumber(2));
  REQUIRE(peers.Until([&] { return again.closed_with(absl::StatusCode::kUnavailable); }));
}

TEST_CASE("loopback: a killed peer says nothing more and can come back", "[wire][loopback]") {
  TwoPeers peers;
  DataRecorder recorder, again;
  const auto stream = peers.OpenData(recorder);
  REQUIRE(peers.Until([&] { return peers.acceptor.datas() == 1; }));
  auto& dead = peers.acceptor.data(0);
  stream->Write(NumberedFrame(1));
  dead.stream->Write(NumberedFrame(2));
  peers.network.Kill(PeerNumber(1));
  dead.stream->Write(NumberedFrame(3));
  peers.time.RunFor(absl::Seconds(1));
  CHECK(recorder.closed_with(absl::StatusCode::kUnavailable));
  CHECK(recorder.count() == 0);
  CHECK(dead.recorder->count() == 0);
  CHECK_FALSE(dead.recorder->closed().has_value());

  const auto refused = peers.OpenData(again);
  REQUIRE(peers.Until([&] { return again.closed_with(absl::StatusCode::kUnavailable); }));

  peers.Restart();
  DataRecorder third;
  const auto stream_again = peers.OpenData(third);
  REQUIRE(peers.Until([&] { return peers.acceptor.datas() == 1; }));
  stream_again->Write(NumberedFrame(4));
  REQUIRE(peers.Until([&] { return peers.acceptor.data(0).recorder->count() == 1; }));
}

TEST_CASE("loopback: a frozen peer answers when it is thawed", "[wire][loopback]") {
  TwoPeers peers;
  peers.network.Freeze(PeerNumber(1));
  std::optional<absl::StatusOr<v1::InfoReply>> early, late;
  peers.client->Info(peers.address, absl::Seconds(1), *peers.loop,
                     [&](auto reply) { early = std::move(reply); });
  peers.client->Info(peers.address, absl::Seconds(5), *peers.loop,
                     [&](auto reply) { late = std::move(reply); });
  peers.time.RunFor(absl::Seconds(2));
  REQUIRE(early.has_value());
  CHECK(early->status().code() == absl::StatusCode::kDeadlineExceeded);
  peers.network.Thaw(PeerNumber(1));
  peers.time.RunFor(absl::Seconds(1));
  REQUIRE(late.has_value());
  CHECK(late->ok());
}

TEST_CASE("loopback: what is silently dropped is noticed by nobody", "[wire][loopback]") {
  TwoPeers peers;
  DataRecorder recorder;
  auto stream = peers.OpenData(recorder);
  REQUIRE(peers.Until([&] { return peers.acceptor.datas() == 1; }));
  auto& accepted = peers.acceptor.data(0);
  peers.network.SilentlyDrop(PeerNumber(2), PeerNumber(1));
  stream->Write(NumberedFrame(1));
  peers.time.RunFor(absl::Seconds(1));
  CHECK(stream->queued_bytes() == 0);
  CHECK(recorder.drained() > 0);
  CHECK(accepted.recorder->count() == 0);
  accepted.stream->Write(NumberedFrame(2));  // the other direction works
  REQUIRE(peers.Until([&] { return recorder.count() == 1; }));
  stream = nullptr;
  peers.time.RunFor(absl::Seconds(1));
  CHECK_FALSE(accepted.recorder->closed().has_value());

  std::optional<absl::StatusOr<v1::InfoReply>> info;
  peers.client->Info(peers.address, absl::Seconds(1), *peers.loop,
                     [&](auto reply) { info = std::move(reply); });
  peers.time.RunFor(absl::Seconds(2));
  REQUIRE(info.has_value());
  CHECK(info->status().code() == absl::StatusCode::kDeadlineExceeded);
}

TEST_CASE("loopback: a hook can change, repeat and remove messages", "[wire][loopback]") {
  TwoPeers peers;
  peers.network.Alter<v1::Frame>(PeerNumber(2), PeerNumber(1), [](std::vector<v1::Frame>& frames) {
    const std::uint64_t number = frames.front().step().step_no();
    if (number == 1) {
      frames.push_back(frames.front());
    } else if (number == 2) {
      frames.clear();
    } else {
      frames.front().mutable_step()->set_step_no(99);
    }
  });
  DataRecorder recorder;
  const auto stream = peers.OpenData(recorder);
  for (int i = 1; i <= 3; ++i) {
    stream->Write(NumberedFrame(i));
  }
  peers.time.RunFor(absl::Seconds(1));
  std::vector<std::uint64_t> numbers;
  for (const v1::Frame& frame : peers.acceptor.data(0).recorder->messages()) {
    numbers.push_back(frame.step().step_no());
  }
  CHECK(numbers == std::vector<std::uint64_t>{1, 1, 99});

  peers.network.Alter<v1::Frame>(PeerNumber(2), PeerNumber(1), nullptr);
  stream->Write(NumberedFrame(4));
  peers.time.RunFor(absl::Seconds(1));
  CHECK(peers.acceptor.data(0).recorder->messages().back().step().step_no() == 4);
}

TEST_CASE("loopback: works on threads, with streams going in any order", "[wire][loopback]") {
  LoopbackNetwork network({.serialize = false});
  const auto server = network.Attach(PeerNumber(1));
  const auto client = network.Attach(PeerNumber(2));
  const auto control = server->NewLoop("control");
  const auto data = server->NewLoop("data");
  const auto loop = client->NewLoop("client");
  RecordingAcceptor acceptor;
  acceptor.on_data = [](auto& accepted) {
    accepted.recorder->on_message = [&accepted](const v1::Frame& frame) {
      accepted.stream->Write(frame);
    };
  };
  auto listener = server->Listen("loopback:0", acceptor, *control, *data);
  REQUIRE(listener.ok());
  const PeerAddress address{"loopback", 1, PeerNumber(1)};
  REQUIRE(address.HostPort() == (*listener)->host_port());

  constexpr std::uint64_t kRounds = 1000;
  DataRecorder recorder;
  std::unique_ptr<DataStream> stream;
  absl::Notification done, gone;
  recorder.on_message = [&](const v1::Frame& frame) {
    const std::uint64_t number = frame.step().step_no();
    number == kRounds ? done.Notify() : stream->Write(NumberedFrame(number + 1));
  };
  loop->Post([&] {
    stream = client->OpenData(address, *loop);
    stream->Start(recorder);
    stream->Write(NumberedFrame(1));
  });
  REQUIRE(done.WaitForNotificationWithTimeout(kLimit));
  loop->Post([&] {
    stream = nullptr;
    gone.Notify();
  });
  REQUIRE(gone.WaitForNotificationWithTimeout(kLimit));
  listener->reset();
  absl::Notification cleared;
  data->Post([&] {
    acceptor.Clear();
    cleared.Notify();
  });
  cleared.WaitForNotification();
  CHECK(recorder.count() == kRounds);
}

}  // namespace
}  // namespace fallow
