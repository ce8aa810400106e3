// Runs the rows that wait in all sessions through the blocks, pass after pass, on the data loop.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/loop.h"
#include "fallow/gate.h"
#include "server/counters.h"
#include "server/draw_batch.h"
#include "server/hosted_session.h"
#include "server/limits.h"
#include "server/served_model.h"

namespace fallow {

using HostedSessions = std::map<SessionId, std::unique_ptr<HostedSession>>;

class Scheduler {
 public:
  // All are borrowed; `gate` may be null.
  struct Options {
    const ServedModel& model;
    const HostedSessions& sessions;
    Loop& data;
    HopCounters& counters;
    SessionListener& listener;
    Gate* gate = nullptr;
  };
  explicit Scheduler(const Options& options);

  // Something waits. A pass is posted, so that what arrives before it joins it.
  void Wake();

  // The waiting rows of all sessions have changed otherwise than through a pass.
  void CountWaiting();

  // To the client, of the work done so far. There must be a gate and a link.
  void SendReceipt(HostedSession& session);

 private:
  // Rows of one sequence in the pass. Those of one session follow each other, as do draws.
  struct Share {
    HostedSession* session = nullptr;
    int sequence = 0;
    std::int64_t rows = 0;
  };
  // A sequence whose next token is sampled.
  struct Draw {
    HostedSession* session = nullptr;
    int sequence = 0;
  };

  void RunPass();
  std::vector<Share> TakeShares();
  void AskGate(std::vector<Share>& shares);
  void LearnPrefillRows(std::span<const Share> shares, absl::Duration elapsed);
  void RunGroup(std::span<const Share> group);
  absl::Status Gather(std::span<const Share> group);
  void Fail(HostedSession& session, const absl::Status& status);
  void Deliver(const Share& share, std::int64_t first_row, absl::Duration computing);
  static void ForEachSession(
      std::span<const Share> shares,
      absl::FunctionRef<void(HostedSession& session, std::int64_t rows)> visit);
  void SampleAll();
  void Sample(std::span<const Draw> draws);
  void SendTokens(HostedSession& session, std::span<const Draw> draws, std::size_t first_row);
  bool AnyWork() const;
  void LetOthersCompute();

  const Options options_;
  const ServedModel& model_;
  bool posted_ = false;
  std::size_t turn_ = 0;  // where the next pass begins to look
  absl::Time last_decode_ = absl::InfinitePast();
  std::int64_t prefill_rows_ = kLeastPrefillRows;  // of the next pass, if others decode

  // Of the pass, by row or run.
  std::vector<float> hidden_;
  std::vector<std::uint8_t> failed_;
  std::vector<PassRun> runs_;
  std::vector<TokenId> ids_;
  std::string wire_;

  // Of the sequences that draw, by row.
  std::vector<int> needed_;
  DrawBatch batch_;
};

}  // namespace fallow
