// Peers that break the rules on data streams: nothing is computed for them, and the one at fault is
// named.
#include <cstring>
#include <functional>
#include <limits>

#include "catch2/catch_test_macros.hpp"
#include "tests/server/swarm_kit.h"

namespace fallow {
namespace {

using absl::StatusCode;

// One hop in the middle of a ring, fed by a peer that is the first by name only.
struct Middle {
  explicit Middle(Swarm& swarm)
      : first(swarm.Add({0, 2})),
        middle(swarm.Add({2, 4})),
        last(swarm.Add({4, 6})),
        client(swarm, {&first, &middle, &last}, {.sequences = 2}) {
    swarm.network.Kill(first.peer());
    client.open().set_epoch(2);
    client.SendOpen(1);
    client.SendOpen(2);
    swarm.Settle();
    for (const std::size_t hop : {1, 2}) client.SendStart(hop, client.StartOf(hop, {}));
    swarm.Settle();
    transport = swarm.network.Attach(first.peer());
    loop = transport->NewLoop("hostile");
    const PeerAddress address = PeerAddress::Parse(middle.address()).value();
    data = std::make_unique<DataEnd>(transport->OpenData(address, *loop));
    v1::Frame hello;
    hello.mutable_hello()->set_session(client.open().session());
    hello.mutable_hello()->set_secret(client.open().secret());
    data->stream->Write(hello);
  }
  std::int64_t row_bytes() const { return middle.served().row_bytes(); }
  v1::Step GoodStep(std::uint32_t rows) const {
    v1::Step step;
    step.set_epoch(2);
    step.add_runs()->set_count(rows);
    step.set_rows(std::string(rows * row_bytes(), '\0'));
    return step;
  }

  LocalServer& first;
  LocalServer& middle;
  LocalServer& last;
  ScriptedClient client;
  std::unique_ptr<Transport> transport;
  std::unique_ptr<Loop> loop;
  std::unique_ptr<DataEnd> data;
};

std::string Floats(float value, std::int64_t bytes) {
  std::string floats(bytes, '\0');
  for (std::size_t i = 0; i < floats.size(); i += sizeof value) {
    std::memcpy(&floats[i], &value, sizeof value);
  }
  return floats;
}

TEST_CASE("a bad step is blamed on its sender and stops the session", "[server][hostile]") {
  struct Case {
    const char* name;
    std::function<void(v1::Step&)> change;
  };
  const std::int64_t row = 512;
  const Case cases[] = {
      {"no rows", [](v1::Step& step) { step.clear_runs(); }},
      {"an empty run", [](v1::Step& step) { step.add_runs()->set_sequence(1); }},
      {"truncated", [](v1::Step& step) { step.mutable_rows()->pop_back(); }},
      {"too long", [](v1::Step& step) { step.mutable_rows()->push_back('x'); }},
      {"too large",
       [&](v1::Step& step) {
         step.mutable_runs(0)->set_count(40);
         step.set_rows(std::string(200 * row, '\0'));
       }},
      {"huge, and of a later epoch",
       [](v1::Step& step) {
         step.set_epoch(9);
         step.set_rows(std::string(1 << 20, '\0'));
       }},
      {"beyond the reservation", [](v1::Step& step) { step.mutable_runs(0)->set_count(65); }},
      {"a count that overflows",
       [](v1::Step& step) { step.mutable_runs(0)->set_count(0xffffffff); }},
      {"a position too far", [](v1::Step& step) { step.mutable_runs(0)->set_position(1); }},
      {"a huge position", [](v1::Step& step) { step.mutable_runs(0)->set_position(0xffffffff); }},
      {"an unknown sequence", [](v1::Step& step) { step.mutable_runs(0)->set_sequence(2); }},
      {"the same rows twice", [](v1::Step& step) { *step.add_runs() = step.runs(0); }},
      {"ids", [](v1::Step& step) { step.add_ids(1); }},
      {"not a number",
       [&](v1::Step& step) {
         step.set_rows(Floats(std::numeric_limits<float>::quiet_NaN(), 2 * row));
       }},
      {"infinite",
       [&](v1::Step& step) {
         step.set_rows(Floats(std::numeric_limits<float>::infinity(), 2 * row));
       }},
      {"too large a number", [&](v1::Step& step) { step.set_rows(Floats(1e30f, 2 * row)); }},
      {"a reorder that was not agreed on", [](v1::Step& step) { step.add_reorder(); }},
      {"parents that were not agreed on",
       [](v1::Step& step) { step.mutable_runs(0)->add_parents(0); }},
      {"a step number that is left out", [](v1::Step& step) { step.set_step_no(7); }},
      {"no step number", [](v1::Step& step) { step.set_step_no(0xffffffffffffffff); }},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    Swarm swarm;
    Middle ring(swarm);
    REQUIRE(ring.row_bytes() == row);
    v1::Step step = ring.GoodStep(2);
    step.set_step_no(1);
    test.change(step);
    ring.client.SendStep(*ring.data, step);
    swarm.Settle();
    const v1::Error* error = ring.client.control(1).error();
    REQUIRE(error != nullptr);
    CHECK(error->code() == static_cast<std::uint32_t>(StatusCode::kInvalidArgument));
    CHECK(error->about_peer() == std::string(32, '\1'));
    CHECK(error->epoch() == 2);
    CHECK(ring.data->closed_with(StatusCode::kInvalidArgument));
    CHECK(ring.middle.stats().rows == 0);
    CHECK(ring.middle.stats().sessions == 1);  // the client may replace the peer
    CHECK_FALSE(ring.client.control(1).closed.has_value());
  }
}

TEST_CASE("steps seen before and of older epochs are dropped, of later ones held",
          "[server][hostile]") {
  Swarm swarm;
  Middle ring(swarm);
  ring.client.SendStep(*ring.data, ring.GoodStep(2));
  swarm.Settle();
  CHECK(ring.middle.stats().rows == 2);
  v1::Step again = ring.GoodStep(2);
  SECTION("seen before") {
    again.set_step_no(1);
    ring.client.SendStep(*ring.data, again);
  }
  SECTION("an older epoch") {
    again.set_epoch(1);
    ring.client.SendStep(*ring.data, again);
  }
  SECTION("a later epoch") {
    again.set_epoch(3);
    ring.client.SendStep(*ring.data, again);
  }
  swarm.Settle();
  CHECK(ring.middle.stats().rows == 2);
  CHECK(ring.client.control(1).error() == nullptr);

  ring.client.NextEpoch();
  v1::Start start = ring.client.StartOf(1, {{.ids = {1}}});
  for (const std::size_t hop : {1, 2}) ring.client.SendStart(hop, start);
  swarm.Settle();
  CHECK(ring.client.control(1).error() == nullptr);
  CHECK(ring.middle.stats().rows == (again.epoch() == 3 ? 4 : 2));
}

TEST_CASE("ids outside the vocabulary and streams that misbehave are refused",
          "[server][hostile]") {
  Swarm swarm;
  LocalServer& server = swarm.Add({0, 6});
  ScriptedClient client(swarm, {&server}, {});
  client.OpenAll();
  client.SendStart(0, client.StartOf(0, {}));
  swarm.Settle();
  std::unique_ptr<DataEnd> data;
  const auto step = [&](v1::Step made) {
    made.set_epoch(1);
    made.add_runs()->set_count(1);
    client.SendStep(client.feed(), made);
  };
  v1::Step made;
  SECTION("an id below") {
    made.add_ids(-1);
    step(made);
  }
  SECTION("an id above") {
    made.add_ids(320);
    step(made);
  }
  SECTION("too few ids") { step(made); }
  SECTION("hidden states for ids") {
    made.add_ids(1);
    made.set_rows(std::string(512, '\0'));
    step(made);
  }
  SECTION("a second Hello") {
    v1::Frame hello;
    hello.mutable_hello()->set_session(client.open().session());
    client.feed().stream->Write(hello);
  }
  SECTION("an empty frame") { client.feed().stream->Write(v1::Frame()); }
  swarm.Settle();
  CHECK(client.control(0).error_code() == StatusCode::kInvalidArgument);
  CHECK(client.control(0).error()->about_peer() == std::string(32, 100));
  CHECK(server.stats().rows == 0);
}

TEST_CASE("a data stream begins with Hello", "[server][hostile]") {
  Swarm swarm;
  LocalServer& server = swarm.Add({0, 6});
  ScriptedClient client(swarm, {&server}, {});
  client.OpenAll();
  swarm.Settle();
  v1::Frame frame;
  SECTION("not with a step") { frame.mutable_step()->set_step_no(1); }
  SECTION("not with a short one") { frame.mutable_hello()->set_session("x"); }
  const std::unique_ptr<Transport> transport = swarm.network.Attach(NumberedPeer(66));
  const std::unique_ptr<Loop> loop = transport->NewLoop("hostile");
  DataEnd data(transport->OpenData(PeerAddress::Parse(server.address()).value(), *loop));
  data.stream->Write(frame);
  swarm.Settle();
  CHECK(data.closed_with(StatusCode::kInvalidArgument));
  CHECK(client.control(0).error() == nullptr);
}

TEST_CASE("strangers do not use up a hop", "[server][hostile]") {
  Swarm swarm;
  LocalServer& server = swarm.Add({0, 6});
  ScriptedClient client(swarm, {&server}, {});
  std::vector<std::unique_ptr<DataEnd>> strangers;
  for (int i = 0; i < 300; ++i) strangers.push_back(client.DialData(0));
  swarm.Settle();
  int refused = 0;
  for (const auto& stranger : strangers) {
    refused += stranger->closed_with(StatusCode::kResourceExhausted);
  }
  CHECK(refused == 44);
  swarm.time.RunFor(absl::Seconds(21));
  client.OpenAll();
  client.Begin({{.ids = {1, 2, 3}}}, 5);
  swarm.Settle();
  CHECK(client.tokens().size() == 5);
}

}  // namespace
}  // namespace fallow
