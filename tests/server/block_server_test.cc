// Whole servers on real threads: starting, stopping, and what is wrong with options.
#include "fallow/block_server.h"

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "catch2/catch_test_macros.hpp"
#include "server/local_server.h"
#include "tests/server/swarm_kit.h"

namespace fallow {
namespace {

BlockServer::Options TinyModel() {
  return {.checkpoint = FALLOW_SOURCE_DIR "/tests/golden/llama",
          .listen = "loopback:0",
          .numeric_class = "fp32",
          .threads = 1,
          .kv_memory = 16 << 20};
}

TEST_CASE("a server says what it serves", "[server][threads]") {
  LoopbackNetwork network;
  const auto server =
      StartLocalServer(TinyModel(), NumberedPeer(1), network.Attach(NumberedPeer(1))).value();
  CHECK(server->peer() == NumberedPeer(1));
  CHECK(server->blocks() == BlockRange{0, 6});
  CHECK(server->numeric_class() == "fp32");
  CHECK(server->spec().hidden_size == 128);
  CHECK(PeerAddress::Parse(server->address())->peer == NumberedPeer(1));
  CHECK(server->stats().weight_bytes > 100'000);
  CHECK(server->stats().kv_tokens_capacity > 1000);

  const auto transport = network.Attach(NumberedPeer(2));
  const auto loop = transport->NewLoop("client");
  absl::Notification asked;
  v1::InfoReply info;
  transport->Info(PeerAddress::Parse(server->address()).value(), absl::Seconds(10), *loop,
                  [&](absl::StatusOr<v1::InfoReply> reply) {
                    if (reply.ok()) info = *reply;
                    asked.Notify();
                  });
  REQUIRE(asked.WaitForNotificationWithTimeout(absl::Seconds(20)));
  CHECK(info.version() == 1);
  CHECK(info.model().size() == 32);
  CHECK(info.numeric_class() == "fp32");
  CHECK(info.span().end() == 6);
  CHECK(info.num_blocks() == 6);
  CHECK(info.embeds());
  CHECK(info.samples());
  CHECK(info.block_digests_size() == 6);
  CHECK(info.block_digests(0) != info.block_digests(1));
  CHECK(info.ends_digest().size() == 32);
  CHECK(static_cast<std::int64_t>(info.free_kv_tokens()) == server->stats().kv_tokens_capacity);
  CHECK(info.free_sessions() == 64);
}

TEST_CASE("a stopped server wakes those who wait for it", "[server][threads]") {
  LoopbackNetwork network;
  const auto server =
      StartLocalServer(TinyModel(), NumberedPeer(1), network.Attach(NumberedPeer(1))).value();
  CHECK_FALSE(server->Wait(absl::ZeroDuration()));
  bool woken = false;
  std::thread waiter([&] { woken = server->Wait(); });
  server->Stop();  // nobody is there: at once
  waiter.join();
  CHECK(woken);
  server->Stop();
  CHECK(server->stats().sessions == 0);
}

TEST_CASE("a server that stops asks its sessions to move, and waits until they have",
          "[server][drain]") {
  Swarm swarm;
  LocalServer& server = swarm.Add({0, 6});
  ScriptedClient client(swarm, {&server}, {});
  client.OpenAll();
  swarm.Settle();
  bool emptied = false;
  server.Drain(absl::Seconds(5), [&] { emptied = true; });
  swarm.Settle();
  REQUIRE(client.control(0).messages.back().has_drain());
  CHECK(client.control(0).messages.back().drain().deadline_ms() == 5000);
  CHECK_FALSE(emptied);
  ScriptedClient late(swarm, {&server}, {.self = NumberedPeer(101), .session = 't'});
  late.OpenAll();
  swarm.Settle();
  CHECK(late.control(0).error_code() == absl::StatusCode::kUnavailable);
  SECTION("when they close") {
    client.Begin({{.ids = {1, 2, 3}}}, 5);
    swarm.Settle();
    CHECK(client.tokens().size() == 5);  // it goes on until then
    v1::ControlUp close;
    close.mutable_close();
    client.Send(0, close);
    swarm.Settle();
  }
  SECTION("or when it halts") {
    server.Halt();
    swarm.Settle();
    CHECK(client.control(0).closed_with(absl::StatusCode::kUnavailable));
  }
  CHECK(emptied);
  CHECK(server.stats().sessions == 0);
}

TEST_CASE("options that cannot be are refused", "[server][threads]") {
  struct Case {
    const char* name;
    std::function<void(BlockServer::Options&)> change;
    absl::StatusCode code;
  };
  const Case cases[] = {
      {"checkpoint", [](auto& options) { options.checkpoint = "/nowhere"; },
       absl::StatusCode::kNotFound},
      {"blocks",
       [](auto& options) {
         options.blocks = {4, 7};
       },
       absl::StatusCode::kInvalidArgument},
      {"negative blocks",
       [](auto& options) {
         options.blocks = {-1, 2};
       },
       absl::StatusCode::kInvalidArgument},
      {"class", [](auto& options) { options.numeric_class = "fp17"; },
       absl::StatusCode::kInvalidArgument},
      {"threads", [](auto& options) { options.threads = -1; }, absl::StatusCode::kInvalidArgument},
      {"sessions", [](auto& options) { options.max_sessions = 0; },
       absl::StatusCode::kInvalidArgument},
      {"kv memory", [](auto& options) { options.kv_memory = 1; },
       absl::StatusCode::kInvalidArgument},
      {"negative kv memory", [](auto& options) { options.kv_memory = -1; },
       absl::StatusCode::kInvalidArgument},
      {"outbox", [](auto& options) { options.max_outbox = -1; },
       absl::StatusCode::kInvalidArgument},
      {"idle timeout", [](auto& options) { options.idle_timeout = absl::ZeroDuration(); },
       absl::StatusCode::kInvalidArgument},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    LoopbackNetwork network;
    BlockServer::Options options = TinyModel();
    test.change(options);
    const auto server = StartLocalServer(options, NumberedPeer(1), network.Attach(NumberedPeer(1)));
    CHECK(server.status().code() == test.code);
  }
}

TEST_CASE("an instruction set that is not there is refused", "[server][threads]") {
  LoopbackNetwork network;
  setenv("FALLOW_ISA", "pentium", 1);
  const auto server =
      StartLocalServer(TinyModel(), NumberedPeer(1), network.Attach(NumberedPeer(1)));
  unsetenv("FALLOW_ISA");
  CHECK(server.status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("a server on a socket keeps its identity, and its port to itself", "[server][sockets]") {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("fallow-server-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  BlockServer::Options options = TinyModel();
  options.identity = (folder / "key").string();
  options.listen = "127.0.0.1:0";
  options.announce = "localhost";
  auto server = BlockServer::Start(options).value();
  const PeerAddress address = PeerAddress::Parse(server->address()).value();
  CHECK(address.host == "localhost");
  CHECK(address.port > 0);
  CHECK(address.peer == server->peer());

  BlockServer::Options second = TinyModel();
  second.listen = "127.0.0.1:" + std::to_string(address.port);
  CHECK(BlockServer::Start(second).status().code() == absl::StatusCode::kUnavailable);
  server->Stop();
  server = BlockServer::Start(options).value();
  CHECK(server->peer() == address.peer);
  server.reset();
  std::filesystem::remove_all(folder);
}

TEST_CASE("in a forked child a server is left alone", "[server][threads]") {
  LoopbackNetwork network;
  auto server =
      StartLocalServer(TinyModel(), NumberedPeer(1), network.Attach(NumberedPeer(1))).value();
  const pid_t child = fork();
  if (child == 0) {
    server->Stop();
    const bool waited = server->Wait();
    server.reset();
    _exit(waited ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK_FALSE(server->Wait(absl::ZeroDuration()));
}

}  // namespace
}  // namespace fallow
