// One session's chain of hops, and how it survives their failures.
//
// Passive: lives on one loop, is told what to do by its owner and what happened by its streams.
// Every (re)start goes the same way: Open to all hops with a new epoch, which fences the old one
// and tells what each hop still holds; PlanReplay; Start to all hops; the missing tokens to the
// first. Where all is well (a further prompt on an open session) the Opens are left out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/loop.h"
#include "client/feed.h"
#include "client/hop_link.h"
#include "client/patience.h"
#include "fallow/gate.h"
#include "fallow/session.h"
#include "swarm/route.h"
#include "wire/transport.h"

namespace fallow {

// What a sequence of a chain shall do next.
struct SequenceTurn {
  std::vector<TokenId> ids;   // all tokens known: earlier turns and the new prompt; not empty
  std::int64_t prompt = 0;    // how many of them were given, not generated
  std::int64_t limit = 0;     // ring: positions [ids.size(), limit) are generated
  std::int64_t wanted = 0;    // private ends: first position whose output is returned
  std::int64_t fork_of = -1;  // the sequence whose beginning this one shares, at its first turn
};

struct Turn {
  std::vector<SequenceTurn> sequences;  // by number
  SamplingOptions sampling;             // ring
  std::vector<TokenId> stop_tokens;     // ring
};

// Told of a chain's progress, on its loop. None of the calls may destroy the chain.
class ChainOwner {
 public:
  virtual ~ChainOwner() = default;
  virtual void OnToken(std::uint32_t sequence, std::int64_t position, TokenId id) = 0;
  // Private ends: outputs of `count` positions, in wire format.
  virtual void OnRows(std::uint32_t sequence, std::int64_t position, std::int64_t count,
                      std::string_view rows) = 0;
  // The hops in use, each time an epoch begins and whenever they have said how long they take.
  virtual void OnRoute(std::vector<RouteHop> route) = 0;
  virtual void OnRecovered(Recovery recovery) = 0;
  virtual void OnFailed(absl::Status status) = 0;  // the chain has given up
};

class Chain : private HopListener {
 public:
  static constexpr std::int64_t kRunAhead = 32;  // tokens that a ring may be past the last Ack
  static constexpr std::int64_t kAckEvery = 8;   // tokens, so that it need not wait

  struct Options {
    EndMode end_mode = EndMode::kRing;
    int num_blocks = 0;
    int vocab_size = 0;
    std::string model;  // 32-byte digest
    std::string numeric_class;
    Feed::Options feed;
    // A route over part of the blocks, without some peers.
    std::function<absl::StatusOr<std::vector<RouteStop>>(BlockRange, std::int64_t kv_tokens,
                                                         const std::set<PeerId>& exclude)>
        plan;
    std::function<void(const PeerId&)> on_blame;  // tells the planner's memory
    // Asks the peers anew what they serve, and calls `done` when `plan` knows.
    std::function<void(std::function<void()> done)> look_again;
    Payer* payer = nullptr;
    std::string session;        // 16 random bytes
    std::string secret;         // 32 random bytes
    std::string beginning_key;  // 32 random bytes, of all sessions that may share what they compute
  };

  // All references must outlive the chain.
  Chain(Options options, Transport& transport, Loop& loop, ChainOwner& owner);
  ~Chain() override;

  // Begins a turn; the one before is cut off. `kv_tokens`: positions to reserve a sequence.
  void Begin(Turn turn, std::int64_t kv_tokens);

  // Private ends: the owner drew a token.
  void Append(std::uint32_t sequence, TokenId id);

  // The owner has taken `known` tokens of a sequence: lets a ring run on. Due every kAckEvery.
  void Acknowledge(std::uint32_t sequence, std::int64_t known);

  // Nothing more is wanted of a sequence.
  void Finish(std::uint32_t sequence);

  struct Measured {
    std::vector<RouteHop> route;
    std::int64_t prompt_rows = 0;  // computed before the turn's first output, held ones excluded
  };
  // Ends the turn and asks the hops for the time they spent on it; `done` is called at the latest
  // after `timeout`.
  using OnMeasured = std::function<void(Measured)>;
  void EndTurn(absl::Duration timeout, OnMeasured done);

  // Frees the session on all hops. The last call.
  void Close();

  // The peers of the route in use.
  std::vector<PeerId> Route() const;

 private:
  enum class State {
    kIdle,     // no turn
    kOpening,  // waiting for the hops' Opened
    kRunning,  // waiting for outputs
    kAsking,   // silent; beats are out
    kLooking,  // for a replica that the plan did not know
    kFailed,
  };

  struct Sequence {
    SequenceTurn turn;
    std::int64_t valid = 0;         // positions that all hops are known to hold
    std::int64_t acknowledged = 0;  // tokens told to the last hop
    bool finished = true;
    // By epoch: how much of what was held before it still agrees with `turn.ids`.
    std::vector<std::pair<std::uint32_t, std::int64_t>> cuts;
  };

  // HopListener
  void OnOpened(HopLink& hop) override;
  void OnTokens(HopLink& hop, const v1::Tokens& tokens) override;
  void OnReceipt(HopLink& hop, const std::string& receipt) override;
  void OnDrain(HopLink& hop, absl::Duration deadline) override;
  void OnBeat(HopLink& hop) override;
  void OnError(HopLink& hop, absl::Status status, const PeerId& about) override;
  void OnBroken(HopLink& hop, absl::Status status) override;
  void OnStep(const v1::Step& step);

  void TakeSequences(Turn turn);
  absl::Status PlanAll();
  std::unique_ptr<HopLink> Dial(const RouteStop& stop);
  void OpenAll();                 // a new epoch, with Open
  void Launch(bool from_states);  // Start to all hops; then the missing tokens
  std::vector<HopState> StatesOf(const Sequence& sequence, std::size_t number, bool from_states);
  v1::Generation MakeGeneration() const;

  void Progress(std::int64_t done);  // so many more have gone through all hops
  bool Expecting() const;
  void Watch();  // sees to it that silence is noticed
  absl::Duration Silence() const;
  void OnSilence();
  void OnBeatsDue();

  // chain_recovery.cc
  bool Deaf() const;  // to what hops report of themselves
  void OnOpenDue();
  void OnFeedBroken(absl::Status status);
  void AskAll();
  std::vector<HopReport> Reports() const;
  void BeginAnew();
  void ReplaceAccused();
  HopLink* Find(const PeerId& peer);
  void Replace(HopLink& hop, const std::string& reason, bool at_fault);
  absl::Status ReplaceByPlan(HopLink& hop);
  void LookAgain(const PeerId& peer, const std::string& reason);
  void BeginRecovery(const PeerId& blamed, const std::string& reason);
  void Substitute(HopLink& hop, const std::vector<RouteStop>& stops);
  void Fail(absl::Status status);
  void FinishMeasuring();

  void PayVouchers();
  void AskTimes();  // from time to time
  std::vector<RouteHop> MeasuredRoute() const;
  void SetTimer(absl::Duration delay, void (Chain::*then)());
  void CancelTimer();

  const Options options_;
  Transport& transport_;
  Loop& loop_;
  ChainOwner& owner_;
  Feed feed_;

  State state_ = State::kIdle;
  std::uint32_t epoch_ = 0;
  std::int64_t kv_tokens_ = 0;
  std::vector<std::unique_ptr<HopLink>> hops_;  // along the route
  std::vector<Sequence> sequences_;
  Turn turn_;                   // its sequences have moved to sequences_
  std::set<PeerId> excluded_;   // given up in this turn
  std::set<PeerId> redialled_;  // since the last progress: their connections had broken
  std::set<PeerId> restarted_;  // likewise: they had lost the session

  Patience patience_;
  absl::Time last_progress_;
  absl::Time expecting_since_;           // the pass that is awaited could begin
  std::int64_t rows_on_the_way_ = 0;     // of that pass
  std::int64_t prompt_rows_ = 0;         // of this turn, as far as hops computed them
  bool answered_ = false;                // this turn has an output
  bool in_doubt_ = false;                // a link between hops broke: begin anew if all answer
  std::vector<HopReport> last_reports_;  // in this epoch
  int relaunches_ = 0;                   // of this route, without progress
  struct Accusation {
    PeerId by;
    PeerId about;
    std::string why;
  };
  std::optional<Accusation> accusation_;  // the last since there was progress
  std::set<PeerId> believed_;             // whose accusation has cost another hop its place
  Loop::TimerId timer_ = 0;
  bool timer_set_ = false;
  std::optional<Recovery> recovery_;  // under way, since last_progress_
  std::uint64_t tokens_ = 0;          // taken in this session
  std::uint64_t tokens_paid_ = 0;
  std::uint64_t tokens_timed_ = 0;
  OnMeasured on_measured_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace fallow
