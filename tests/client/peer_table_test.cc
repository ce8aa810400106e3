// What a client makes of its peers' answers.
#include "client/peer_table.h"

#include "base/manual_loop.h"
#include "catch2/catch_test_macros.hpp"
#include "catch2/matchers/catch_matchers_string.hpp"

namespace fallow {
namespace {

using Catch::Matchers::ContainsSubstring;

constexpr int kBlocks = 4;
constexpr absl::Duration kFresh = absl::Seconds(5);

PeerAddress Numbered(int number) {
  PeerId peer;
  peer.bytes[0] = static_cast<std::uint8_t>(number);
  return {"peer", number, peer};
}

v1::InfoReply Serving(BlockRange blocks, const std::string& numeric_class = "exact-1") {
  v1::InfoReply info;
  info.set_version(1);
  info.set_model(std::string(32, 'm'));
  info.set_numeric_class(numeric_class);
  info.mutable_span()->set_begin(blocks.begin);
  info.mutable_span()->set_end(blocks.end);
  info.set_num_blocks(kBlocks);
  info.set_embeds(blocks.begin == 0);
  info.set_samples(blocks.end == kBlocks);
  for (int i = 0; i < blocks.size(); ++i) info.add_block_digests(std::string(32, 'd'));
  info.set_free_sessions(1);
  info.set_free_kv_tokens(1000);
  return info;
}

// Peers 1 and 2, which answer what they are told to, at once.
class Answers : public Transport {
 public:
  std::map<PeerId, absl::StatusOr<v1::InfoReply>> by_peer;
  std::map<PeerId, int> failures;  // Unavailable answers to come before that
  int asked = 0;

  void Info(const PeerAddress& peer, absl::Duration, Loop& loop, InfoDone done) override {
    ++asked;
    auto answer = by_peer.at(peer.peer);
    if (failures[peer.peer]-- > 0) answer = absl::UnavailableError("connection refused");
    loop.Post([done = std::move(done), answer = std::move(answer)]() mutable {
      std::move(done)(std::move(answer));
    });
  }

  std::unique_ptr<Loop> NewLoop(const std::string&) override { return nullptr; }
  std::unique_ptr<Loop> NewLoopBeside(Loop&, const std::string&) override { return nullptr; }
  absl::StatusOr<std::unique_ptr<Listener>> Listen(const std::string&, Acceptor&, Loop&,
                                                   Loop&) override {
    return absl::UnimplementedError("");
  }
  std::unique_ptr<ControlClient> OpenControl(const PeerAddress&, Loop&) override { return nullptr; }
  std::unique_ptr<DataStream> OpenData(const PeerAddress&, Loop&) override { return nullptr; }
};

struct Fixture {
  ManualTime time;
  std::unique_ptr<Loop> loop = time.NewLoop();
  Answers answers;
  PeerTable table{{.peers = {Numbered(1), Numbered(2)},
                   .num_blocks = kBlocks,
                   .model = "",
                   .numeric_class = "",
                   .timeout = absl::Seconds(1)},
                  answers,
                  *loop};

  Fixture() {
    answers.by_peer.emplace(Numbered(1).peer, Serving({0, 2}));
    answers.by_peer.emplace(Numbered(2).peer, Serving({2, 4}));
  }

  absl::Status Refresh(absl::Duration fresh) {
    std::optional<absl::Status> result;
    table.Refresh(fresh, [&](absl::Status status) { result = std::move(status); });
    REQUIRE(time.RunUntil([&] { return result.has_value(); }, absl::Minutes(1)));
    return *result;
  }
  absl::Status Plan() { return table.Plan({0, kBlocks}, /*ring=*/true, 100, {}).status(); }
};

TEST_CASE("peers are asked anew when what they said is old or makes no route", "[client][peers]") {
  Fixture swarm;
  REQUIRE(swarm.Refresh(kFresh).ok());
  CHECK(swarm.Plan().ok());
  REQUIRE(swarm.Refresh(kFresh).ok());
  CHECK(swarm.answers.asked == 2);
  REQUIRE(swarm.Refresh(absl::ZeroDuration()).ok());
  CHECK(swarm.answers.asked == 4);
  swarm.time.RunFor(kFresh);
  swarm.answers.by_peer.at(Numbered(2).peer) = absl::PermissionDeniedError("not you");
  REQUIRE(swarm.Refresh(kFresh).ok());
  CHECK_THAT(swarm.Plan().ToString(), ContainsSubstring("blocks [2, 4)") &&
                                          ContainsSubstring(Numbered(2).ToString() + ": not you"));
  swarm.answers.by_peer.at(Numbered(2).peer) = Serving({2, 4});
  REQUIRE(swarm.Refresh(kFresh).ok());
  CHECK(swarm.Plan().ok());
  CHECK(swarm.answers.asked == 8);
}

TEST_CASE("a peer that cannot be reached is asked once more where it is needed",
          "[client][peers]") {
  Fixture swarm;
  const PeerId second = Numbered(2).peer;
  SECTION("and may answer then") {
    swarm.answers.failures[second] = 1;
    REQUIRE(swarm.Refresh(kFresh).ok());
    CHECK(swarm.Plan().ok());
    CHECK(swarm.answers.asked == 3);
  }
  SECTION("or is not in the route, with the reason") {
    swarm.answers.failures[second] = 2;
    REQUIRE(swarm.Refresh(kFresh).ok());
    CHECK_THAT(swarm.Plan().ToString(), ContainsSubstring(": connection refused"));
    CHECK(swarm.answers.asked == 3);
  }
  SECTION("but not where others suffice") {
    swarm.answers.by_peer.at(Numbered(1).peer) = Serving({0, kBlocks});
    swarm.answers.failures[second] = 1;
    REQUIRE(swarm.Refresh(kFresh).ok());
    CHECK(swarm.Plan().ok());
    CHECK(swarm.answers.asked == 2);
  }
}

TEST_CASE("the numeric class stays as long as its peers make a route", "[client][peers]") {
  Fixture swarm;
  swarm.answers.by_peer.at(Numbered(1).peer) = absl::UnavailableError("down");
  swarm.answers.by_peer.at(Numbered(2).peer) = Serving({0, kBlocks}, "bf16");
  REQUIRE(swarm.Refresh(kFresh).ok());
  CHECK(swarm.table.numeric_class() == "bf16");
  swarm.answers.by_peer.at(Numbered(1).peer) = Serving({0, kBlocks}, "fp32");
  REQUIRE(swarm.Refresh(absl::ZeroDuration()).ok());
  CHECK(swarm.table.numeric_class() == "bf16");
  swarm.answers.by_peer.at(Numbered(2).peer) = absl::UnavailableError("down");
  REQUIRE(swarm.Refresh(absl::ZeroDuration()).ok());
  CHECK(swarm.table.numeric_class() == "fp32");
}

}  // namespace
}  // namespace fallow
