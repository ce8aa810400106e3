// Gates: who may open, when work stops, vouchers in and receipts out.
#include <map>

#include "absl/strings/str_cat.h"
#include "catch2/catch_test_macros.hpp"
#include "tests/model/golden_files.h"
#include "tests/server/swarm_kit.h"

namespace fallow {
namespace {

// Says what the test wants it to, and keeps what it is told.
class FakeGate : public Gate {
 public:
  absl::Status Admit(const SessionRequest& request) override {
    requests.push_back(request);
    return admit;
  }
  absl::Status MayContinue(const SessionId&) override {
    return passes_left-- > 0 ? absl::OkStatus() : absl::FailedPreconditionError("halted");
  }
  std::string MakeReceipt(const WorkDone& work) override {
    works.push_back(work);
    return absl::StrCat("receipt ", works.size());
  }
  absl::Status TakeVoucher(const SessionId&, std::string_view voucher) override {
    vouchers.emplace_back(voucher);
    return voucher == "forged" ? absl::PermissionDeniedError("forged") : absl::OkStatus();
  }
  void Ended(const SessionId&) override { ++ended; }
  std::string GovernanceDigest() const override { return "0123456789abcdef"; }

  absl::Status admit;
  int passes_left = 1'000'000;
  std::vector<SessionRequest> requests;
  std::vector<WorkDone> works;
  std::vector<std::string> vouchers;
  int ended = 0;
};

std::vector<TokenId> Prompt() {
  const Golden golden = GoldenNamed("llama");
  return {golden.prompt.begin(), golden.prompt.begin() + kGreedyPrompt};
}

struct GatedRing {
  explicit GatedRing(Swarm& swarm) {
    const std::vector<BlockRange> spans = {{0, 2}, {2, 4}, {4, 6}};
    for (const BlockRange& span : spans) {
      gates.push_back(std::make_shared<FakeGate>());
      hops.push_back(&swarm.Add(span, {.gate = gates.back()}));
    }
    client.emplace(swarm, hops, ScriptedClient::Options{.kv_tokens = 200});
  }
  std::vector<std::shared_ptr<FakeGate>> gates;
  std::vector<LocalServer*> hops;
  std::optional<ScriptedClient> client;
};

TEST_CASE("a gate may refuse a session", "[server][gate]") {
  Swarm swarm;
  GatedRing ring(swarm);
  ring.gates[1]->admit = absl::FailedPreconditionError("unpaid");
  v1::ControlUp open;
  ring.client->OpenAll();
  swarm.Settle();
  CHECK(ring.client->control(0).opened() != nullptr);
  CHECK(ring.client->control(1).opened() == nullptr);
  CHECK(ring.client->control(1).error_code() == absl::StatusCode::kFailedPrecondition);
  CHECK(ring.hops[1]->stats().sessions == 0);
  CHECK(ring.gates[1]->ended == 0);
  REQUIRE(ring.gates[0]->requests.size() == 1);
  const SessionRequest& request = ring.gates[0]->requests[0];
  CHECK(request.client == NumberedPeer(100));
  CHECK(request.blocks == BlockRange{0, 2});
  CHECK(request.sequences == 1);
  CHECK(request.kv_tokens == 200);
  CHECK(ring.client->control(0).messages[0].governance() == "0123456789abcdef");
}

TEST_CASE("a gate may halt a session between two tokens", "[server][gate]") {
  Swarm swarm;
  GatedRing ring(swarm);
  ring.client->OpenAll();
  ring.gates[1]->passes_left = 4;
  ring.client->Begin({{.ids = Prompt()}}, 20);
  swarm.Settle();
  CHECK(ring.client->tokens().size() == 4);
  CHECK(ring.client->control(1).error_code() == absl::StatusCode::kFailedPrecondition);
  CHECK(ring.client->control(1).error()->message() == "halted");
  CHECK(ring.hops[1]->stats().rows == kGreedyPrompt + 3);
  SECTION("and let it go on when it is reopened") {
    ring.gates[1]->passes_left = 100;
    std::vector<TokenId> known = Prompt();
    const std::vector<TokenId> tokens = ring.client->tokens();
    known.insert(known.end(), tokens.begin(), tokens.end());
    ring.client->OpenAll(/*resume=*/true);
    ring.client->Begin({{.ids = known, .keep = kGreedyPrompt + 3}}, 5);
    swarm.Settle();
    CHECK(ring.client->tokens().size() == 5);
    CHECK(ring.gates[1]->requests.size() == 2);
  }
}

TEST_CASE("each 32 steps bring a receipt, and neighbours agree on what passed between them",
          "[server][gate]") {
  Swarm swarm;
  GatedRing ring(swarm);
  ring.client->OpenAll();
  ring.client->Begin({{.ids = Prompt()}}, 70);
  for (std::uint32_t known = kGreedyPrompt; known < kGreedyPrompt + 70; known += 16) {
    ring.client->SendAck(2, {known}, "");
    swarm.Settle();
  }
  REQUIRE(ring.client->tokens().size() == 70);
  for (const std::size_t hop : {0, 1, 2}) {
    CAPTURE(hop);
    CHECK(ring.client->control(hop).receipts() ==
          std::vector<std::string>{"receipt 1", "receipt 2"});
    const WorkDone& work = ring.gates[hop]->works[1];
    CHECK(work.client == NumberedPeer(100));
    CHECK(work.steps == 64);
    CHECK(work.rows == kGreedyPrompt + 63);
    CHECK(work.block_rows == 2 * work.rows);
    CHECK(work.input_hash != ring.gates[hop]->works[0].input_hash);
  }
  for (const std::size_t receipt : {0, 1}) {
    for (const std::size_t hop : {0, 1}) {
      CHECK(ring.gates[hop]->works[receipt].output_hash ==
            ring.gates[hop + 1]->works[receipt].input_hash);
    }
  }
  v1::ControlUp close;
  close.mutable_close();
  ring.client->Send(1, close);
  swarm.Settle();
  CHECK(ring.client->control(1).receipts().size() == 3);
  CHECK(ring.gates[1]->works[2].steps == 70 - 1 + 1);
  CHECK(ring.gates[1]->ended == 1);
}

TEST_CASE("vouchers reach the gate, and a bad one ends the session's work", "[server][gate]") {
  Swarm swarm;
  GatedRing ring(swarm);
  ring.client->OpenAll();
  ring.client->Begin({{.ids = Prompt()}}, 100);
  for (const std::size_t hop : {0, 1, 2}) ring.client->SendAck(hop, {}, "good");
  swarm.Settle();
  for (const auto& gate : ring.gates) CHECK(gate->vouchers == std::vector<std::string>{"good"});
  REQUIRE(ring.client->tokens().size() == 32);
  ring.client->SendAck(1, {}, "forged");
  swarm.Settle();
  CHECK(ring.client->control(1).error_code() == absl::StatusCode::kPermissionDenied);
  ring.client->SendAck(2, {kGreedyPrompt + 32});
  swarm.Settle();
  CHECK(ring.client->tokens().size() == 33);  // its row does not pass the second hop
}

TEST_CASE("a gate hears of every session's end", "[server][gate]") {
  Swarm swarm;
  GatedRing ring(swarm);
  ring.client->OpenAll();
  swarm.Settle();
  SECTION("when the client is gone") {
    swarm.network.Kill(NumberedPeer(100));
    swarm.time.RunFor(absl::Minutes(1));
  }
  SECTION("when it breaks a rule") {
    v1::Start start = ring.client->StartOf(0, {});
    start.set_epoch(0);
    for (const std::size_t hop : {0, 1, 2}) ring.client->SendStart(hop, start);
    swarm.Settle();
  }
  SECTION("when the server stops") {
    for (LocalServer* hop : ring.hops) hop->Halt();
  }
  for (const auto& gate : ring.gates) CHECK(gate->ended == 1);
}

}  // namespace
}  // namespace fallow
