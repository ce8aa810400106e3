// A server whose device fails: nothing crashes, and its clients learn that they must go elsewhere.
#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "base/log.h"
#include "tests/server/swarm_kit.h"

namespace fallow {
namespace {

// A launch that is refused: the run time keeps such an error for good, as CUDA keeps a lost device.
void LoseDevice(Backend& backend) {
  AppendArgs impossible{};
  impossible.kv.layout.format = static_cast<KvFormat>(77);
  backend.Append(impossible);
}

TEST_CASE("emulated GPUs: a server whose device failed ends its sessions and takes no new ones",
          "[server][device]") {
  std::vector<std::string> log;
  SetLogSink([&](LogLevel, std::string_view message) { log.emplace_back(message); });
  Swarm swarm;
  LocalServer& server = swarm.Add({0, 6}, {.device = "cuda-emulated"});
  ScriptedClient computing(swarm, {&server}, {.self = NumberedPeer(100), .session = 'a'});
  ScriptedClient idle(swarm, {&server}, {.self = NumberedPeer(101), .session = 'b'});
  computing.OpenAll();
  idle.OpenAll();
  swarm.Settle();
  computing.Begin({{.ids = {5, 6, 7}}}, 2);
  swarm.Settle();
  REQUIRE(computing.tokens().size() == 2);
  REQUIRE(server.stats().sessions == 2);
  CHECK(!server.stats().draining);

  LoseDevice(*server.served().backends[0]);
  computing.OpenAll(/*resume=*/true);
  swarm.Settle();
  computing.Begin({{.ids = {5, 6, 7}}}, 2);
  swarm.Settle();
  for (ScriptedClient* client : {&computing, &idle}) {
    CHECK(client->control(0).error_code() == absl::StatusCode::kInternal);
    CHECK(client->control(0).closed_with(absl::StatusCode::kInternal));
  }
  CHECK(server.stats().draining);
  CHECK(server.stats().sessions == 0);
  CHECK(server.stats().kv_tokens_reserved == 0);
  REQUIRE(log.size() == 1);
  CHECK(log[0].find("cuda-emulated") != std::string::npos);

  ScriptedClient late(swarm, {&server}, {.self = NumberedPeer(102), .session = 'c'});
  late.OpenAll();
  swarm.Settle();
  CHECK(late.control(0).error_code() == absl::StatusCode::kUnavailable);
  SetLogSink({});
}

}  // namespace
}  // namespace fallow
