// Private ends: the client embeds and samples; hidden states go in and come out.
#include <cmath>

#include "catch2/catch_test_macros.hpp"
#include "tests/model/golden_files.h"
#include "tests/server/swarm_kit.h"

namespace fallow {
namespace {

struct PrivateRing {
  explicit PrivateRing(Swarm& swarm, std::uint32_t kv_tokens = 400)
      : first(swarm.Add({0, 3})),
        last(swarm.Add({3, 6})),
        client(swarm, {&first, &last}, {.ring = false, .kv_tokens = kv_tokens}) {}

  std::string Embed(const std::vector<TokenId>& ids) {
    const ServedModel& model = first.served();
    std::vector<float> hidden(ids.size() * model.spec.hidden_size);
    REQUIRE(model.head->Embed(ids, hidden.data()).ok());
    std::string rows;
    EncodeRows(model.format(), hidden.data(), std::ssize(ids), model.spec.hidden_size, rows);
    return rows;
  }

  // Feeds ids in steps of at most `chunk`.
  void Feed(const std::vector<TokenId>& ids, std::uint32_t position, std::uint32_t chunk) {
    for (std::size_t at = 0; at < ids.size(); at += chunk) {
      const std::vector<TokenId> part(ids.begin() + at,
                                      ids.begin() + std::min(ids.size(), at + chunk));
      client.SendRows(client.feed(), 0, position + static_cast<std::uint32_t>(at),
                      static_cast<std::uint32_t>(part.size()), Embed(part));
    }
  }

  void Start(std::uint32_t send_from) {
    for (const std::size_t hop : {0, 1}) {
      v1::Start start;
      start.set_epoch(client.epoch());
      start.add_sequences()->set_send_from(hop == 1 ? send_from : 0);
      client.SendStart(hop, start);
    }
  }

  // The outputs that came, which must follow each other from `position` on.
  std::string Outputs(std::uint32_t position) {
    std::string rows;
    for (const v1::Frame& frame : client.outputs().messages) {
      REQUIRE(frame.step().runs_size() == 1);
      CHECK(frame.step().runs(0).position() == position);
      CHECK(frame.step().rows().size() <= (64 << 10));
      position += frame.step().runs(0).count();
      rows += frame.step().rows();
    }
    return rows;
  }

  LocalServer& first;
  LocalServer& last;
  ScriptedClient client;
};

TEST_CASE("hidden states come back that give transformers' logits", "[server][private]") {
  Swarm swarm;
  PrivateRing ring(swarm);
  const Golden golden = GoldenNamed("llama");
  ring.client.OpenAll();
  ring.Start(0);
  ring.Feed(golden.prompt, 0, 5);
  swarm.Settle();
  const ServedModel& model = ring.last.served();
  const std::string rows = ring.Outputs(0);
  const auto count = static_cast<std::int64_t>(rows.size()) / model.row_bytes();
  REQUIRE(count == std::ssize(golden.prompt));
  std::vector<float> hidden(count * model.spec.hidden_size);
  REQUIRE(DecodeRows(model.format(), rows, count, model.spec.hidden_size, hidden.data()).ok());
  std::vector<float> logits(count * model.spec.vocab_size);
  REQUIRE(model.head->Logits(hidden.data(), count, logits.data()).ok());
  float worst = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    worst = std::max(worst, std::abs(logits[i] - golden.logits[i]));
  }
  CHECK(worst < 1e-3);  // fp32, another order of sums
}

TEST_CASE("outputs are sent from where the client wants them", "[server][private]") {
  Swarm swarm;
  PrivateRing ring(swarm);
  ring.client.OpenAll();
  ring.Start(297);
  ring.Feed(std::vector<TokenId>(300, 11), 0, 128);
  swarm.Settle();
  CHECK(std::ssize(ring.Outputs(297)) == 3 * ring.last.served().row_bytes());
  ring.Feed({12}, 300, 1);
  swarm.Settle();
  CHECK(std::ssize(ring.Outputs(297)) == 4 * ring.last.served().row_bytes());
}

TEST_CASE("outputs wait for the owner's stream", "[server][private]") {
  Swarm swarm;
  PrivateRing ring(swarm);
  ring.client.OpenAll();
  ring.client.outputs().stream.reset();
  ring.Start(0);
  ring.Feed(std::vector<TokenId>(300, 11), 0, 128);
  swarm.Settle();
  const std::uint64_t computed = ring.last.stats().rows;
  CHECK(computed < 300);  // it does not compute what it cannot send
  v1::ControlUp beat;
  beat.mutable_beat()->set_nonce(1);
  ring.client.Send(1, beat);
  swarm.Settle();
  const v1::ControlDown& answer = ring.client.control(1).messages.back();
  CHECK(answer.beat().rows_unsent() == computed);
  const std::unique_ptr<DataEnd> late = ring.client.DialData(1, /*receive=*/true);
  swarm.Settle();
  CHECK(ring.last.stats().rows == 300);
  std::uint32_t rows = 0;
  for (const v1::Frame& frame : late->messages) rows += frame.step().runs(0).count();
  CHECK(rows == 300);
}

TEST_CASE("a stream of an earlier Open gets no outputs of a later one", "[server][private]") {
  Swarm swarm;
  PrivateRing ring(swarm);
  ring.client.OpenAll();
  swarm.Settle();
  ring.client.NextEpoch();
  ring.client.open().set_resume(true);
  for (const std::size_t hop : {0, 1}) ring.client.SendOpen(hop);
  ring.Start(0);
  ring.Feed({1, 2, 3}, 0, 3);
  swarm.Settle();
  CHECK(ring.client.outputs().messages.empty());
  const std::unique_ptr<DataEnd> late = ring.client.DialData(1, /*receive=*/true);
  swarm.Settle();
  REQUIRE(late->messages.size() == 1);
  CHECK(late->messages[0].step().runs(0).count() == 3);
}

TEST_CASE("a client that does not read its outputs holds the whole chain back",
          "[server][private]") {
  Swarm swarm;
  PrivateRing ring(swarm, 512);
  ring.client.OpenAll();
  ring.client.outputs().stream->SetReading(false);
  ring.Start(0);
  // 512 rows of 512 bytes stay below every bound, so turn the session round a few times.
  for (int turn = 0; turn < 24; ++turn) {
    if (turn > 0) {
      ring.client.NextEpoch();
      ring.Start(0);
    }
    ring.Feed(std::vector<TokenId>(512, 11), 0, 128);
    swarm.Settle();
  }
  const std::uint64_t held_back = ring.last.stats().rows;
  CHECK(held_back < 24 * 512);
  ring.client.outputs().stream->SetReading(true);
  swarm.Settle();
  CHECK(ring.last.stats().rows > held_back);
}

}  // namespace
}  // namespace fallow
