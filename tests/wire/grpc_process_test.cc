// What a real process sees when another one dies or freezes.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/platform/process.h"
#include "catch2/catch_test_macros.hpp"
#include "tests/wire/grpc_node.h"

extern char** environ;

namespace fallow {
namespace {

// What the child processes below run: serves, and says where, until its input ends.
TEST_CASE("a peer for the other tests", "[.serve-grpc]") {
  TuneProcess();
  GrpcNode node;
  std::printf("peer %s\n", node.address.ToString().c_str());
  std::fflush(stdout);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
}

// A process of this program that runs the case above.
class ServingProcess {
 public:
  ServingProcess() {
    int to_child[2], from_child[2];
    REQUIRE(pipe2(to_child, O_CLOEXEC) == 0);
    REQUIRE(pipe2(from_child, O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to_child[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, from_child[1], STDOUT_FILENO);
    std::string program = "/proc/self/exe", test = "[.serve-grpc]";
    char* arguments[] = {program.data(), test.data(), nullptr};
    REQUIRE(posix_spawn(&process_, program.c_str(), &actions, nullptr, arguments, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(to_child[0]);
    close(from_child[1]);
    input_ = to_child[1];
    ReadAddress(from_child[0]);
    close(from_child[0]);
  }

  ~ServingProcess() {
    kill(process_, SIGKILL);
    close(input_);
    waitpid(process_, nullptr, 0);
  }

  void Signal(int number) const { kill(process_, number); }
  // When it returns, the process stands still.
  void Freeze() const {
    Signal(SIGSTOP);
    waitpid(process_, nullptr, WUNTRACED);
  }
  const PeerAddress& address() const { return address_; }

 private:
  void ReadAddress(int descriptor) {
    std::string text;
    char byte;
    while (text.find("peer ") == std::string::npos || text.back() != '\n') {
      REQUIRE(read(descriptor, &byte, 1) == 1);
      text += byte;
    }
    const std::size_t begin = text.find("peer ") + 5;
    address_ = PeerAddress::Parse(text.substr(begin, text.size() - begin - 1)).value();
  }

  pid_t process_ = 0;
  int input_ = -1;
  PeerAddress address_;
};

TEST_CASE("gRPC: the death of a process breaks its streams", "[wire][grpc]") {
  const ServingProcess process;
  GrpcCaller caller;
  caller.OpenData(process.address());
  caller.data->Write(NumberedFrame(1));
  REQUIRE(Eventually([&] { return caller.recorder.count() == 1; }));
  process.Signal(SIGKILL);
  CHECK(caller.ClosedWith(absl::StatusCode::kUnavailable));
}

TEST_CASE("gRPC: a frozen process goes on where it was", "[wire][grpc]") {
  const ServingProcess process;
  GrpcCaller caller;
  caller.OpenData(process.address());
  caller.data->Write(NumberedFrame(1));
  REQUIRE(Eventually([&] { return caller.recorder.count() == 1; }));
  process.Freeze();
  caller.data->Write(NumberedFrame(2));
  CHECK(caller.Info(process.address(), absl::Milliseconds(300)).status().code() ==
        absl::StatusCode::kDeadlineExceeded);
  CHECK_FALSE(caller.recorder.closed().has_value());
  process.Signal(SIGCONT);
  CHECK(Eventually([&] { return caller.recorder.count() == 2; }));
}

TEST_CASE("the round trip of a frame between two processes", "[.latency]") {
  const ServingProcess process;
  GrpcCaller caller;
  constexpr std::size_t kBytes = 8192;
  constexpr std::size_t kRounds = 10'000;
  std::vector<absl::Duration> times;
  absl::Time sent;
  absl::Notification done;
  caller.recorder.on_message = [&](const v1::Frame&) {
    times.push_back(absl::Now() - sent);
    if (times.size() == kRounds) {
      done.Notify();
    } else {
      sent = absl::Now();
      caller.data->Write(NumberedFrame(times.size(), kBytes));
    }
  };
  caller.OpenData(process.address());
  caller.data->Write(NumberedFrame(0, kBytes));
  REQUIRE(done.WaitForNotificationWithTimeout(absl::Minutes(2)));
  std::sort(times.begin(), times.end());
  WARN("8 KiB there and back, TLS: p50 " << absl::FormatDuration(times[kRounds / 2]) << ", p99 "
                                         << absl::FormatDuration(times[kRounds * 99 / 100]));
}

}  // namespace
}  // namespace fallow
