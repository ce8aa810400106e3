// How a session begins an epoch.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/hop_session.h"

namespace fallow {
namespace {

const v1::SequenceStart* Find(const v1::Start& start, int sequence) {
  const auto& all = start.sequences();
  const auto found = std::find_if(all.begin(), all.end(), [&](const v1::SequenceStart& named) {
    return static_cast<int>(named.sequence()) == sequence;
  });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

absl::Status HopSession::Start(const v1::Start& start) {
  FALLOW_RETURN_IF_ERROR(CheckStart(start));
  std::optional<RingEnd> ring_end;
  if (start.has_generation()) {
    FALLOW_ASSIGN_OR_RETURN(ring_end, RingEnd::Read(start.generation(), sequences(),
                                                    request_.kv_tokens, model_.spec.vocab_size));
    FALLOW_RETURN_IF_ERROR(CheckGeneration(start, *ring_end));
  }

  epoch_ = started_epoch_ = start.epoch();
  ring_end_ = std::move(ring_end);
  for (Sequence& sequence : sequences_) {
    sequence.waiting.Clear();
    sequence.sent = sequence.outbox.end();  // what was on its way when the epoch ended is lost
  }
  for (const v1::SequenceStart& named : start.sequences()) {
    if (named.has_fork_of()) Fork(named);
  }
  for (const v1::SequenceStart& named : start.sequences()) StartSequence(named);
  for (int i = 0; i < sequences(); ++i) {
    sequences_[i].offered = {};  // of a sequence that is not named, later Starts may bring others
    sequences_[i].kept = kv_len(i);
    if (!request_.samples()) continue;
    const bool generates = ring_end_ && ring_end_->Generates(i);
    sequences_[i].sent = generates ? ring_end_->next(i) - 1 : kNothingWanted;
  }
  return absl::OkStatus();
}

absl::Status HopSession::CheckStart(const v1::Start& start) const {
  if (start.epoch() < epoch_ || start.epoch() == started_epoch_) {
    return absl::InvalidArgumentError(
        absl::StrCat("start: epoch ", start.epoch(), ", the session is at ", epoch_));
  }
  if (start.has_generation() && !request_.samples()) {
    return absl::InvalidArgumentError("start: generation, but this hop is not a ring's last");
  }
  for (const v1::SequenceStart& named : start.sequences()) {
    FALLOW_RETURN_IF_ERROR(CheckSequenceStart(start, named));
  }
  return absl::OkStatus();
}

absl::Status HopSession::CheckSequenceStart(const v1::Start& start,
                                            const v1::SequenceStart& named) const {
  const auto wrong = [&](auto... what) {
    return absl::InvalidArgumentError(
        absl::StrCat("start: sequence ", named.sequence(), ": ", what...));
  };
  if (named.sequence() >= sequences_.size()) return wrong("there are ", sequences_.size());
  if (Find(start, named.sequence()) != &named) return wrong("named twice");
  std::uint32_t source = named.sequence();
  if (named.has_fork_of()) {
    source = named.fork_of();
    if (source >= sequences_.size() || source == named.sequence()) return wrong("fork of ", source);
    const v1::SequenceStart* parent = Find(start, source);
    if (parent != nullptr && parent->has_fork_of()) return wrong("fork of a fork");
  }
  if (named.keep() > kv_len(source)) {
    return wrong("keeps ", named.keep(), " positions, held are ", kv_len(source));
  }
  if (request_.samples() || named.send_from() >= named.keep()) return absl::OkStatus();
  if (named.has_fork_of() || named.send_from() < outbox(source).begin()) {
    return absl::AbortedError(absl::StrCat("start: sequence ", named.sequence(), ": outputs from ",
                                           named.send_from(), " on are gone"));
  }
  return absl::OkStatus();
}

// The output that the first token is sampled from lies in the outbox, or is yet to be computed.
absl::Status HopSession::CheckGeneration(const v1::Start& start, const RingEnd& end) const {
  for (int i = 0; i < sequences(); ++i) {
    if (!end.Generates(i)) continue;
    const v1::SequenceStart* named = Find(start, i);
    const std::int64_t keep = named == nullptr ? kv_len(i) : named->keep();
    if (keep > end.next(i)) {
      return absl::InvalidArgumentError(absl::StrCat("start: sequence ", i, " keeps ", keep,
                                                     " positions of ", end.next(i), " tokens"));
    }
    const bool forked = named != nullptr && named->has_fork_of();
    if (keep == end.next(i) && (forked || outbox(i).begin() >= keep)) {
      return absl::AbortedError(
          absl::StrCat("start: sequence ", i, ": the output of position ", keep - 1, " is gone"));
    }
  }
  return absl::OkStatus();
}

void HopSession::Fork(const v1::SequenceStart& named) {
  Sequence& sequence = sequences_[named.sequence()];
  const Sequence& parent = sequences_[named.fork_of()];
  Become(sequence, parent.kv, named.keep());
  sequence.beginnings = parent.beginnings;
}

void HopSession::StartSequence(const v1::SequenceStart& named) {
  Sequence& sequence = sequences_[named.sequence()];
  model_.cache->Truncate(sequence.kv, named.keep());
  sequence.outbox.Truncate(named.keep());
  sequence.sent = named.send_from();
  sequence.started = true;
  sequence.beginnings.Truncate(named.keep());
  // What is kept agrees with what was offered, and what comes is the rest of it.
  if (sequence.offered.positions() > 0) sequence.beginnings = std::move(sequence.offered);
}

}  // namespace fallow
