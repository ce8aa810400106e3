// One session on a hop: which rows it takes, what it holds, what it still has to pass on.
//
// Passive: it does no I/O and runs no pass. The data loop owns it.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/beginnings.h"
#include "server/limits.h"
#include "server/open_request.h"
#include "server/outbox.h"
#include "server/ring_end.h"
#include "server/row_queue.h"
#include "server/served_model.h"

namespace fallow {

// For each sequence, by position:
//   [0, kv_len)            computed; the outbox holds the outputs of [outbox.begin(), kv_len)
//   [0, sent)              passed on, or not wanted (may exceed kv_len)
//   [kv_len, kv_len + n)   n rows that wait for a pass
class HopSession {
 public:
  // Reserves the keys and values. ResourceExhausted if there is no room.
  static absl::StatusOr<std::unique_ptr<HopSession>> Create(const ServedModel& model,
                                                            const HopLimits& limits,
                                                            OpenRequest request);
  ~HopSession();
  HopSession(const HopSession&) = delete;
  HopSession& operator=(const HopSession&) = delete;

  const OpenRequest& request() const { return request_; }
  std::uint32_t epoch() const { return epoch_; }
  int sequences() const { return static_cast<int>(sequences_.size()); }
  std::int64_t kv_len(int sequence) const;
  std::int64_t reserved_tokens() const { return request_.kv_tokens * sequences(); }

  // Takes the session over with a new epoch and route: waiting rows are dropped, nothing is
  // computed until Start. Sequences and positions may grow. Nothing changes if it fails. Aborted (a
  // stale epoch, or other blocks), InvalidArgument, ResourceExhausted.
  absl::Status Reopen(OpenRequest request);

  // Whether a sequence may take over what another holds; and then `positions` of what `from` holds.
  bool MayShare(int sequence) const { return !sequences_[sequence].started; }
  const Beginnings& offered(int sequence) const { return sequences_[sequence].offered; }
  void Share(int sequence, KvCache::SequenceId from, std::int64_t positions);

  // What a sequence holds, as its client named it: no more than kv_len().
  Beginnings Held(int sequence) const;

  // What Opened says.
  void Describe(v1::Opened& opened) const;

  // Begins an epoch. InvalidArgument, or Aborted if an output it wants sent again is gone.
  absl::Status Start(const v1::Start& start);

  // No step is computed any more until the session is reopened.
  void Fail() { failed_ = true; }
  bool failed() const { return failed_; }
  bool computes() const { return epoch_ == started_epoch_ && !failed_; }

  enum class Verdict { kTake, kHold, kDrop };
  Verdict Judge(std::uint32_t epoch) const;

  // Queues the rows of a step of this epoch; returns how many. InvalidArgument if they break a
  // rule; then none is queued.
  absl::StatusOr<std::int64_t> Take(const v1::Step& step);

  // Queues one token's row: the last hop of a ring is also its first.
  void TakeId(int sequence, TokenId id);

  KvCache::SequenceId kv(int sequence) const { return sequences_[sequence].kv; }
  const RowQueue& waiting(int sequence) const { return sequences_[sequence].waiting; }
  std::int64_t waiting_rows() const;

  // The oldest waiting rows of a sequence have been computed. Returns how many outputs need not be
  // passed on. `output` [rows, hidden_size] in the wire format.
  std::int64_t Computed(int sequence, std::int64_t rows, std::string_view output);

  // Forgets what a failed pass has left in the cache.
  void DropUnfinished(int sequence);

  // Outputs that wait to be passed on, or to be sampled from: positions [sent, outbox.end()).
  const Outbox& outbox(int sequence) const { return sequences_[sequence].outbox; }
  std::int64_t sent(int sequence) const { return sequences_[sequence].sent; }
  bool HasUnsent(int sequence) const;
  bool HasUnsent() const;

  // The next `rows` outputs have been passed on. Returns how many of them are no repetition.
  std::int64_t Sent(int sequence, std::int64_t rows);

  // Of the last hop of a ring, while it generates; else null.
  RingEnd* ring_end() { return ring_end_ ? &*ring_end_ : nullptr; }

 private:
  static constexpr std::int64_t kNothingWanted = std::numeric_limits<std::int64_t>::max();

  struct Sequence {
    KvCache::SequenceId kv = 0;
    RowQueue waiting;
    Outbox outbox;
    std::int64_t sent = 0;
    std::int64_t kept = 0;  // positions computed before this epoch
    bool started = false;
    Beginnings beginnings;  // of what it holds and will have computed
    Beginnings offered;     // likewise, by the Open before the next Start; else none
  };

  HopSession(const ServedModel& model, const HopLimits& limits, OpenRequest request);
  absl::Status Reserve(int sequences, std::int64_t kv_tokens);
  void TakeBeginnings();
  void Become(Sequence& sequence, KvCache::SequenceId from, std::int64_t positions);
  absl::Status CheckStart(const v1::Start& start) const;
  absl::Status CheckSequenceStart(const v1::Start& start, const v1::SequenceStart& named) const;
  absl::Status CheckGeneration(const v1::Start& start, const RingEnd& end) const;
  void Fork(const v1::SequenceStart& named);
  void StartSequence(const v1::SequenceStart& named);
  absl::Status CheckRuns(const v1::Step& step, std::int64_t* rows) const;
  absl::Status CheckPayload(const v1::Step& step, std::int64_t rows);
  void TrimOutboxes();

  const ServedModel& model_;
  const HopLimits& limits_;
  OpenRequest request_;
  std::uint32_t epoch_;
  std::uint32_t started_epoch_ = 0;
  bool failed_ = false;
  std::vector<Sequence> sequences_;
  std::optional<RingEnd> ring_end_;
  std::vector<float> scratch_;
};

}  // namespace fallow
