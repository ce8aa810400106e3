#include "server/hop_session.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace fallow {

static_assert(std::endian::native == std::endian::little, "ids travel as they lie in memory");

HopSession::HopSession(const ServedModel& model, const HopLimits& limits, OpenRequest request)
    : model_(model), limits_(limits), request_(std::move(request)), epoch_(request_.epoch) {}

absl::StatusOr<std::unique_ptr<HopSession>> HopSession::Create(const ServedModel& model,
                                                               const HopLimits& limits,
                                                               OpenRequest request) {
  auto session = std::unique_ptr<HopSession>(new HopSession(model, limits, std::move(request)));
  FALLOW_RETURN_IF_ERROR(
      session->Reserve(session->request_.sequences, session->request_.kv_tokens));
  session->TakeBeginnings();
  return session;
}

HopSession::~HopSession() {
  for (const Sequence& sequence : sequences_) model_.cache->Close(sequence.kv);
}

std::int64_t HopSession::kv_len(int sequence) const {
  return model_.cache->size(sequences_[sequence].kv);
}

absl::Status HopSession::Reserve(int sequences, std::int64_t kv_tokens) {
  const std::int64_t input_bytes = request_.takes_ids() ? sizeof(TokenId) : model_.row_bytes();
  for (Sequence& sequence : sequences_) {
    FALLOW_RETURN_IF_ERROR(model_.cache->Grow(sequence.kv, kv_tokens));
  }
  const int before = this->sequences();
  while (this->sequences() < sequences) {
    absl::StatusOr<KvCache::SequenceId> kv = model_.cache->Open(kv_tokens);
    if (!kv.ok()) {
      for (; this->sequences() > before; sequences_.pop_back()) {
        model_.cache->Close(sequences_.back().kv);
      }
      return kv.status();
    }
    sequences_.push_back(
        {.kv = *kv, .waiting = RowQueue(input_bytes), .outbox = Outbox(model_.row_bytes())});
  }
  return absl::OkStatus();
}

absl::Status HopSession::Reopen(OpenRequest request) {
  if (request.epoch <= epoch_) {
    return absl::AbortedError(
        absl::StrCat("open: epoch ", request.epoch, ", the session is at ", epoch_));
  }
  if (request.blocks() != request_.blocks()) {
    return absl::AbortedError(absl::StrCat("open: blocks ", ToString(request.blocks()),
                                           ", the session ran ", ToString(request_.blocks())));
  }
  if (request.ring != request_.ring) {
    return absl::InvalidArgumentError("open: a session cannot change its end mode");
  }
  if (request.sequences < sequences() || request.kv_tokens < request_.kv_tokens) {
    return absl::InvalidArgumentError(absl::StrCat(
        "open: ", request.sequences, " sequences of ", request.kv_tokens, " positions, there are ",
        sequences(), " of ", request_.kv_tokens, " and they cannot shrink"));
  }
  FALLOW_RETURN_IF_ERROR(Reserve(request.sequences, request.kv_tokens));
  request_ = std::move(request);
  epoch_ = request_.epoch;
  failed_ = false;
  ring_end_.reset();
  for (Sequence& sequence : sequences_) sequence.waiting.Clear();
  TakeBeginnings();
  return absl::OkStatus();
}

void HopSession::TakeBeginnings() {
  for (std::size_t i = 0; i < sequences_.size(); ++i) {
    Sequence& sequence = sequences_[i];
    sequence.offered = i < request_.beginnings.size() ? request_.beginnings[i] : Beginnings();
    if (sequence.started) continue;
    model_.cache->Truncate(sequence.kv, 0);  // shared for tokens that may have been others
    sequence.outbox.Restart(0);
  }
}

void HopSession::Share(int sequence, KvCache::SequenceId from, std::int64_t positions) {
  Become(sequences_[sequence], from, positions);
}

// Gives back the pages that the copy reserves, so there is room for it.
void HopSession::Become(Sequence& sequence, KvCache::SequenceId from, std::int64_t positions) {
  model_.cache->Close(sequence.kv);
  sequence.kv = model_.cache->Fork(from, positions, request_.kv_tokens).value();
  sequence.outbox.Restart(positions);
}

Beginnings HopSession::Held(int sequence) const {
  Beginnings held = sequences_[sequence].beginnings;
  held.Truncate(kv_len(sequence));
  return held;
}

void HopSession::Describe(v1::Opened& opened) const {
  opened.set_epoch(epoch_);
  opened.set_started(started_epoch_);
  opened.set_max_positions(static_cast<std::uint32_t>(request_.kv_tokens));
  for (int i = 0; i < sequences(); ++i) {
    v1::SequenceState& state = *opened.add_sequences();
    state.set_kv_len(static_cast<std::uint32_t>(kv_len(i)));
    state.set_outbox_begin(static_cast<std::uint32_t>(outbox(i).begin()));
    if (MayShare(i)) state.set_shared(state.kv_len());
  }
}

HopSession::Verdict HopSession::Judge(std::uint32_t epoch) const {
  if (epoch < epoch_) return Verdict::kDrop;
  if (epoch > epoch_) return Verdict::kHold;
  if (failed_) return Verdict::kDrop;
  if (!computes()) return Verdict::kHold;
  std::int64_t bytes = 0;
  for (const Sequence& sequence : sequences_) bytes += sequence.waiting.bytes();
  return bytes < limits_.max_waiting ? Verdict::kTake : Verdict::kHold;
}

absl::StatusOr<std::int64_t> HopSession::Take(const v1::Step& step) {
  std::int64_t rows = 0;
  FALLOW_RETURN_IF_ERROR(CheckRuns(step, &rows));
  FALLOW_RETURN_IF_ERROR(CheckPayload(step, rows));
  std::string_view payload = step.rows();
  std::int64_t row_bytes = model_.row_bytes();
  if (request_.takes_ids()) {
    row_bytes = sizeof(TokenId);
    payload = {reinterpret_cast<const char*>(step.ids().data()), rows * sizeof(TokenId)};
  }
  for (const v1::Run& run : step.runs()) {
    sequences_[run.sequence()].waiting.Append(payload.substr(0, run.count() * row_bytes));
    payload.remove_prefix(run.count() * row_bytes);
  }
  return rows;
}

absl::Status HopSession::CheckRuns(const v1::Step& step, std::int64_t* rows) const {
  if (step.reorder_size() > 0) {
    return absl::InvalidArgumentError("step: reorder, but feature beams was not agreed on");
  }
  std::vector<std::int64_t> added(sequences_.size());
  for (const v1::Run& run : step.runs()) {
    const auto wrong = [&](auto... what) {
      return absl::InvalidArgumentError(
          absl::StrCat("step: sequence ", run.sequence(), ": ", what...));
    };
    if (run.parents_size() > 0) return wrong("parents, but feature trees was not agreed on");
    if (run.sequence() >= sequences_.size()) return wrong("there are ", sequences_.size());
    const std::int64_t expected =
        kv_len(run.sequence()) + waiting(run.sequence()).rows() + added[run.sequence()];
    if (run.position() != expected) {
      return wrong("position ", run.position(), ", expected ", expected);
    }
    if (run.count() == 0 || run.count() > request_.kv_tokens - expected) {
      return wrong(run.count(), " rows at position ", expected, ", reserved are ",
                   request_.kv_tokens);
    }
    added[run.sequence()] += run.count();
    *rows += run.count();
  }
  if (*rows == 0) return absl::InvalidArgumentError("step: no rows");
  return absl::OkStatus();
}

absl::Status HopSession::CheckPayload(const v1::Step& step, std::int64_t rows) {
  if (request_.takes_ids()) {
    if (!step.rows().empty()) return absl::InvalidArgumentError("step: hidden states for ids");
    if (step.ids_size() != rows || rows > kMaxStepIds) {
      return absl::InvalidArgumentError(absl::StrCat("step: ", step.ids_size(), " ids for ", rows,
                                                     " rows, at most ", kMaxStepIds));
    }
    for (const TokenId id : step.ids()) {
      if (id < 0 || id >= model_.spec.vocab_size) {
        return absl::InvalidArgumentError(
            absl::StrCat("step: id ", id, " of ", model_.spec.vocab_size));
      }
    }
    return absl::OkStatus();
  }
  if (step.ids_size() > 0) return absl::InvalidArgumentError("step: ids for hidden states");
  if (rows > 1 && step.rows().size() > kMaxStepBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("step: ", step.rows().size(), " bytes, at most ", kMaxStepBytes));
  }
  if (static_cast<std::int64_t>(step.rows().size()) != rows * model_.row_bytes()) {
    return absl::InvalidArgumentError(absl::StrCat("step: ", step.rows().size(), " bytes for ",
                                                   rows, " rows of ", model_.row_bytes()));
  }
  scratch_.resize(rows * model_.spec.hidden_size);
  return DecodeRows(model_.format(), step.rows(), rows, model_.spec.hidden_size, scratch_.data());
}

void HopSession::TakeId(int sequence, TokenId id) {
  sequences_[sequence].waiting.Append({reinterpret_cast<const char*>(&id), sizeof(id)});
}

std::int64_t HopSession::waiting_rows() const {
  std::int64_t rows = 0;
  for (const Sequence& sequence : sequences_) rows += sequence.waiting.rows();
  return rows;
}

std::int64_t HopSession::Computed(int sequence, std::int64_t rows, std::string_view output) {
  Sequence& state = sequences_[sequence];
  state.waiting.Pop(rows);
  const std::int64_t end = kv_len(sequence);
  const std::int64_t unwanted = std::clamp<std::int64_t>(state.sent - (end - rows), 0, rows);
  if (request_.samples()) {  // nobody asks for what lies before the next token
    if (unwanted > 0) state.outbox.Restart(end - rows + unwanted);
    output.remove_prefix(unwanted * model_.row_bytes());
  }
  state.outbox.Append(output);
  TrimOutboxes();
  return unwanted;
}

void HopSession::DropUnfinished(int sequence) {
  model_.cache->Truncate(sequences_[sequence].kv, sequences_[sequence].outbox.end());
}

bool HopSession::HasUnsent(int sequence) const { return sent(sequence) < outbox(sequence).end(); }

bool HopSession::HasUnsent() const {
  for (int i = 0; i < sequences(); ++i) {
    if (HasUnsent(i)) return true;
  }
  return false;
}

std::int64_t HopSession::Sent(int sequence, std::int64_t rows) {
  Sequence& state = sequences_[sequence];
  const std::int64_t begin = std::exchange(state.sent, state.sent + rows);
  return std::clamp<std::int64_t>(state.sent - std::max(begin, state.kept), 0, rows);
}

void HopSession::TrimOutboxes() {
  const auto droppable = [&](const Sequence& sequence) {
    const std::int64_t history = request_.samples() ? 2 * kRunAhead : 0;
    return std::min(sequence.sent, sequence.outbox.end()) - history;
  };
  std::int64_t bytes = 0;
  for (Sequence& sequence : sequences_) {
    while (request_.samples() && sequence.outbox.DropOldest(droppable(sequence))) continue;
    bytes += sequence.outbox.bytes();
  }
  while (bytes > limits_.max_outbox) {
    auto largest = std::max_element(
        sequences_.begin(), sequences_.end(),
        [](const Sequence& a, const Sequence& b) { return a.outbox.bytes() < b.outbox.bytes(); });
    const std::int64_t before = largest->outbox.bytes();
    if (!largest->outbox.DropOldest(droppable(*largest))) return;
    bytes -= before - largest->outbox.bytes();
  }
}

}  // namespace fallow
