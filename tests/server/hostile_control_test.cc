// Clients that break the rules on control streams: nothing is computed for them, and their session
// ends.
#include <functional>
#include <limits>

#include "catch2/catch_test_macros.hpp"
#include "catch2/matchers/catch_matchers_string.hpp"
#include "tests/server/swarm_kit.h"

namespace fallow {
namespace {

using absl::StatusCode;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("an Open that breaks a rule is refused", "[server][hostile]") {
  struct Case {
    const char* name;
    std::function<void(v1::Open&)> change;
    StatusCode code;
    const char* says;
  };
  const Case cases[] = {
      {"empty", [](v1::Open& open) { open.Clear(); }, StatusCode::kUnimplemented, "version 0"},
      {"version", [](v1::Open& open) { open.set_version(2); }, StatusCode::kUnimplemented,
       "version 2, this hop speaks 1"},
      {"session", [](v1::Open& open) { open.set_session("short"); }, StatusCode::kInvalidArgument,
       "5 bytes, expected 16"},
      {"epoch", [](v1::Open& open) { open.set_epoch(0); }, StatusCode::kInvalidArgument, "epoch 0"},
      {"resume", [](v1::Open& open) { open.set_resume(true); }, StatusCode::kAborted, "not held"},
      {"model", [](v1::Open& open) { open.set_model(std::string(32, 'm')); },
       StatusCode::kInvalidArgument, "6d6d6d6d"},
      {"long model", [](v1::Open& open) { open.set_model(std::string(1 << 20, 'm')); },
       StatusCode::kInvalidArgument, "6d6d6d6d"},
      {"class", [](v1::Open& open) { open.set_numeric_class("bf16"); },
       StatusCode::kInvalidArgument, "'bf16', this hop runs 'fp32'"},
      {"end mode", [](v1::Open& open) { open.clear_end_mode(); }, StatusCode::kInvalidArgument,
       "end mode"},
      {"unknown end mode", [](v1::Open& open) { open.set_end_mode(static_cast<v1::EndMode>(9)); },
       StatusCode::kInvalidArgument, "end mode"},
      {"no route", [](v1::Open& open) { open.clear_route(); }, StatusCode::kInvalidArgument,
       "hop 0 of a route of 0"},
      {"hop", [](v1::Open& open) { open.set_hop(2); }, StatusCode::kInvalidArgument,
       "hop 2 of a route of 2"},
      {"huge hop", [](v1::Open& open) { open.set_hop(0xffffffff); }, StatusCode::kInvalidArgument,
       "of a route of 2"},
      {"another hop's place", [](v1::Open& open) { open.set_hop(1); }, StatusCode::kInvalidArgument,
       "this hop holds [0, 3)"},
      {"gap", [](v1::Open& open) { open.mutable_route(1)->mutable_span()->set_begin(4); },
       StatusCode::kInvalidArgument, "expected from 3"},
      {"short of the end",
       [](v1::Open& open) { open.mutable_route(1)->mutable_span()->set_end(5); },
       StatusCode::kInvalidArgument, "covers 5 of 6"},
      {"beyond the end",
       [](v1::Open& open) { open.mutable_route(1)->mutable_span()->set_end(0xffffffff); },
       StatusCode::kInvalidArgument, "expected from 3"},
      {"too many hops",
       [](v1::Open& open) {
         for (int i = 0; i < 100; ++i) *open.add_route() = open.route(0);
       },
       StatusCode::kInvalidArgument, "102 hops for 6 blocks"},
      {"peer", [](v1::Open& open) { open.mutable_route(0)->set_peer(std::string(32, 'p')); },
       StatusCode::kInvalidArgument, "7070"},
      {"short peer", [](v1::Open& open) { open.mutable_route(1)->set_peer("p"); },
       StatusCode::kInvalidArgument, "expected 32"},
      {"no address", [](v1::Open& open) { open.mutable_route(1)->clear_addresses(); },
       StatusCode::kInvalidArgument, "no address"},
      {"bad address", [](v1::Open& open) { open.mutable_route(1)->set_addresses(0, "nowhere"); },
       StatusCode::kInvalidArgument, "nowhere"},
      {"secret", [](v1::Open& open) { open.set_secret(""); }, StatusCode::kInvalidArgument,
       "0 bytes, expected 32"},
      {"no sequence", [](v1::Open& open) { open.set_sequences(0); }, StatusCode::kInvalidArgument,
       "0 sequences"},
      {"sequences", [](v1::Open& open) { open.set_sequences(0xffffffff); },
       StatusCode::kInvalidArgument, "sequences"},
      {"beginnings of nothing",
       [](v1::Open& open) {
         open.add_beginnings("");
         open.add_beginnings("");
       },
       StatusCode::kInvalidArgument, "of 2 sequences"},
      {"ragged beginnings", [](v1::Open& open) { open.add_beginnings(std::string(17, 'b')); },
       StatusCode::kInvalidArgument, "17 bytes"},
      {"long beginnings", [](v1::Open& open) { open.add_beginnings(std::string(80, 'b')); },
       StatusCode::kInvalidArgument, "64 positions"},
      {"no positions", [](v1::Open& open) { open.set_kv_tokens(0); }, StatusCode::kInvalidArgument,
       "0 positions"},
      {"positions", [](v1::Open& open) { open.set_kv_tokens(0xffffffff); },
       StatusCode::kInvalidArgument, "allowed 1 to 512"},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    Swarm swarm;
    LocalServer& first = swarm.Add({0, 3});
    LocalServer& last = swarm.Add({3, 6});
    ScriptedClient client(swarm, {&first, &last}, {});
    client.DialControl(0);
    v1::ControlUp message;
    client.NextEpoch();
    *message.mutable_open() = client.open();
    test.change(*message.mutable_open());
    client.Send(0, message);
    swarm.Settle();
    REQUIRE(client.control(0).error() != nullptr);
    CHECK(client.control(0).error_code() == test.code);
    CHECK_THAT(client.control(0).error()->message(), ContainsSubstring(test.says));
    CHECK(client.control(0).closed_with(test.code));
    CHECK(first.stats().sessions == 0);
    CHECK(first.stats().kv_tokens_reserved == 0);
  }
}

TEST_CASE("a session belongs to the peer that opened it", "[server][hostile]") {
  Swarm swarm;
  LocalServer& server = swarm.Add({0, 6});
  ScriptedClient owner(swarm, {&server}, {});
  owner.OpenAll();
  swarm.Settle();
  ScriptedClient thief(swarm, {&server}, {.self = NumberedPeer(66)});
  thief.open().set_epoch(10);
  for (const bool resume : {true, false}) {
    thief.DialControl(0);
    thief.OpenAll(resume);
    swarm.Settle();
    CHECK(thief.control(0).error_code() == StatusCode::kPermissionDenied);
  }
  SECTION("its rows come from the owner or the previous hop only") {
    v1::Start start = owner.StartOf(0, {{.ids = {1}}});
    owner.SendStart(0, start);
    const std::unique_ptr<DataEnd> data = thief.DialData(0);
    thief.open().set_epoch(1);
    thief.SendIds(*data, 0, 0, {1});
    swarm.time.RunFor(absl::Seconds(11));
    CHECK(data->closed_with(StatusCode::kPermissionDenied));
    CHECK(server.stats().rows == 0);
  }
  SECTION("and with the right secret only") {
    owner.open().set_secret(std::string(32, 'y'));
    const std::unique_ptr<DataEnd> data = owner.DialData(0);
    owner.SendIds(*data, 0, 0, {1});
    swarm.time.RunFor(absl::Seconds(11));
    CHECK(data->closed_with(StatusCode::kPermissionDenied));
    CHECK(server.stats().rows == 0);
  }
  SECTION("a stale epoch is Aborted") {
    ScriptedClient late(swarm, {&server}, {});
    late.OpenAll(/*resume=*/true);  // epoch 1 again
    swarm.Settle();
    CHECK(late.control(0).error_code() == StatusCode::kAborted);
    CHECK(server.stats().sessions == 1);
  }
}

TEST_CASE("where peers are not identified the secret decides", "[server][hostile]") {
  Swarm swarm;
  auto server =
      LocalServer::Start({.checkpoint = FALLOW_SOURCE_DIR "/tests/golden/llama",
                          .listen = "loopback:0",
                          .numeric_class = "fp32",
                          .threads = 1,
                          .kv_memory = 16 << 20},
                         PeerId{}, swarm.network.Attach(PeerId{}), LocalServer::Driver::kCaller)
          .value();
  ScriptedClient owner(swarm, {server.get()}, {.self = PeerId{}});
  owner.OpenAll();
  ScriptedClient other(swarm, {server.get()}, {.self = PeerId{}});
  other.NextEpoch();
  SECTION("for those who know it") {}
  SECTION("against the others") { other.open().set_secret(std::string(32, 'y')); }
  other.OpenAll(/*resume=*/true);
  swarm.Settle();
  const bool knows = other.open().secret() == owner.open().secret();
  CHECK((other.control(0).opened() != nullptr) == knows);
  CHECK((other.control(0).error_code() == StatusCode::kPermissionDenied) == !knows);
  CHECK(owner.control(0).closed.has_value() == knows);
}

TEST_CASE("control messages in a wrong order or with wrong contents end the session",
          "[server][hostile]") {
  struct Case {
    const char* name;
    std::function<void(v1::ControlUp&)> change;
  };
  const auto start = [](v1::ControlUp& message) -> v1::Start& {
    message.mutable_start()->set_epoch(2);
    return *message.mutable_start();
  };
  const auto generation = [&](v1::ControlUp& message) -> v1::SequenceGeneration& {
    v1::Generation& made = *start(message).mutable_generation();
    *made.mutable_sampling() = ScriptedClient::Greedy();
    made.add_sequences()->set_known(4);
    made.mutable_sequences(0)->set_limit(9);
    return *made.mutable_sequences(0);
  };
  const Case cases[] = {
      {"nothing", [](v1::ControlUp&) {}},
      {"start of an older epoch", [&](v1::ControlUp& up) { start(up).set_epoch(0); }},
      {"start of the same epoch", [&](v1::ControlUp& up) { start(up).set_epoch(1); }},
      {"unknown sequence", [&](v1::ControlUp& up) { start(up).add_sequences()->set_sequence(2); }},
      {"named twice",
       [&](v1::ControlUp& up) {
         start(up).add_sequences();
         start(up).add_sequences();
       }},
      {"keeps what is not held",
       [&](v1::ControlUp& up) { start(up).add_sequences()->set_keep(1); }},
      {"fork of an unknown sequence",
       [&](v1::ControlUp& up) { start(up).add_sequences()->set_fork_of(9); }},
      {"fork of itself", [&](v1::ControlUp& up) { start(up).add_sequences()->set_fork_of(0); }},
      {"fork of a fork",
       [&](v1::ControlUp& up) {
         start(up).add_sequences()->set_fork_of(1);
         start(up).add_sequences()->set_sequence(1);
         start(up).mutable_sequences(1)->set_fork_of(0);
       }},
      {"generation of an unknown sequence",
       [&](v1::ControlUp& up) { generation(up).set_sequence(2); }},
      {"generation after nothing", [&](v1::ControlUp& up) { generation(up).set_known(0); }},
      {"no new token", [&](v1::ControlUp& up) { generation(up).set_limit(4); }},
      {"more tokens than reserved", [&](v1::ControlUp& up) { generation(up).set_limit(66); }},
      {"a long prompt", [&](v1::ControlUp& up) { generation(up).set_prompt(5); }},
      {"a short history", [&](v1::ControlUp& up) { generation(up).add_history(1); }},
      {"a history outside the vocabulary",
       [&](v1::ControlUp& up) {
         for (const int id : {1, 2, 3, 320}) generation(up).add_history(id);
       }},
      {"no history for a penalty",
       [&](v1::ControlUp& up) {
         generation(up);
         up.mutable_start()->mutable_generation()->mutable_sampling()->set_presence_penalty(1);
       }},
      {"temperature",
       [&](v1::ControlUp& up) {
         generation(up);
         v1::Sampling& sampling = *up.mutable_start()->mutable_generation()->mutable_sampling();
         sampling.set_do_sample(true);
         sampling.set_temperature(std::numeric_limits<double>::quiet_NaN());
       }},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    Swarm swarm;
    LocalServer& server = swarm.Add({0, 6});
    ScriptedClient client(swarm, {&server}, {.sequences = 2});
    client.OpenAll();
    client.SendStart(0, client.StartOf(0, {}));
    v1::ControlUp message;
    test.change(message);
    client.Send(0, message);
    swarm.Settle();
    CHECK(client.control(0).error_code() == StatusCode::kInvalidArgument);
    CHECK(client.control(0).closed_with(StatusCode::kInvalidArgument));
    CHECK(server.stats().sessions == 0);
    CHECK(server.stats().kv_tokens_reserved == 0);
  }
}

TEST_CASE("a control stream begins with Open, and soon", "[server][hostile]") {
  Swarm swarm;
  LocalServer& server = swarm.Add({0, 6});
  ScriptedClient client(swarm, {&server}, {});
  client.DialControl(0);
  SECTION("not with another message") {
    client.SendStart(0, client.StartOf(0, {}));
    swarm.Settle();
    CHECK(client.control(0).closed_with(StatusCode::kInvalidArgument));
  }
  SECTION("not with silence") {
    swarm.time.RunFor(absl::Seconds(11));
    CHECK(client.control(0).closed_with(StatusCode::kDeadlineExceeded));
  }
}

TEST_CASE("an Ack of tokens that were never sent ends the session", "[server][hostile]") {
  Swarm swarm;
  LocalServer& server = swarm.Add({0, 6});
  ScriptedClient client(swarm, {&server}, {});
  client.OpenAll();
  client.Begin({{.ids = {1, 2, 3}}}, 5);
  swarm.Settle();
  SECTION("too many tokens") { client.SendAck(0, {9}); }
  SECTION("too many sequences") { client.SendAck(0, {3, 3}); }
  swarm.Settle();
  CHECK(client.control(0).error_code() == StatusCode::kInvalidArgument);
  CHECK(server.stats().sessions == 0);
}

}  // namespace
}  // namespace fallow
