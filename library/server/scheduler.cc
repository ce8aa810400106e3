#include "server/scheduler.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/pass_plan.h"

namespace fallow {
namespace {

constexpr std::int64_t kDrawRows = 16;  // logits computed at a time: they are large

// A sequence that decodes is away between its steps, while other hops compute.
constexpr absl::Duration kDecodersStay = absl::Seconds(1);

// Real time, also where the loop's clock is a test's.
class Stopwatch {
 public:
  absl::Duration elapsed() const {
    return absl::FromChrono(std::chrono::steady_clock::now() - start_);
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

Scheduler::Scheduler(const Options& options) : options_(options), model_(options.model) {
  hidden_.resize(model_.span->max_rows() * model_.spec.hidden_size);
}

void Scheduler::Wake() {
  if (std::exchange(posted_, true)) return;
  options_.data.Post([this] {
    posted_ = false;
    RunPass();
  });
}

void Scheduler::CountWaiting() {
  std::int64_t rows = 0;
  for (const auto& [id, session] : options_.sessions) rows += session->state->waiting_rows();
  options_.counters.queued_rows = rows;
}

void Scheduler::RunPass() {
  std::vector<Share> shares = TakeShares();
  AskGate(shares);
  std::stable_sort(shares.begin(), shares.end(), [](const Share& a, const Share& b) {
    const BlockRange x = a.session->state->request().blocks();
    const BlockRange y = b.session->state->request().blocks();
    return std::pair(x.begin, x.end) < std::pair(y.begin, y.end);
  });
  const Stopwatch watch;
  for (std::size_t begin = 0; begin < shares.size();) {
    const BlockRange blocks = shares[begin].session->state->request().blocks();
    std::size_t end = begin;
    while (end < shares.size() && shares[end].session->state->request().blocks() == blocks) ++end;
    RunGroup(std::span(shares).subspan(begin, end - begin));
    begin = end;
  }
  LearnPrefillRows(shares, watch.elapsed());
  if (!model_.samples) LetOthersCompute();
  ForEachSession(
      shares, [&](HostedSession& session, std::int64_t) { options_.listener.OnOutputs(session); });
  SampleAll();
  if (model_.samples) LetOthersCompute();
  ForEachSession(shares, [&](HostedSession& session, std::int64_t rows) {
    session.last_step = options_.data.Now();
    if (session.meter && session.meter->AddStep(rows)) SendReceipt(session);
  });
  CountWaiting();
  if (AnyWork()) Wake();
}

// The next rows come from other hops, which may be on this machine.
void Scheduler::LetOthersCompute() {
  if (model_.whole() || AnyWork()) return;
  for (Backend* backend : model_.backends) backend->Rest();
}

// Shares of one session follow each other.
void Scheduler::ForEachSession(
    std::span<const Share> shares,
    absl::FunctionRef<void(HostedSession& session, std::int64_t rows)> visit) {
  for (std::size_t i = 0; i < shares.size();) {
    HostedSession& session = *shares[i].session;
    std::int64_t rows = 0;
    for (; i < shares.size() && shares[i].session == &session; ++i) rows += shares[i].rows;
    visit(session, rows);
  }
}

std::vector<Scheduler::Share> Scheduler::TakeShares() {
  std::vector<Share> candidates;
  std::vector<std::int64_t> waiting;
  for (const auto& [id, session] : options_.sessions) {
    if (!session->MayCompute()) continue;
    for (int i = 0; i < session->state->sequences(); ++i) {
      const std::int64_t rows = session->state->waiting(i).rows();
      if (rows == 0) continue;
      candidates.push_back({session.get(), i});
      waiting.push_back(rows);
    }
  }
  if (candidates.empty()) return {};
  if (std::find(waiting.begin(), waiting.end(), 1) != waiting.end()) {
    last_decode_ = options_.data.Now();
  }
  const bool decodes = options_.data.Now() < last_decode_ + kDecodersStay;
  const std::vector<std::int64_t> taken = PlanPass(
      waiting, turn_++ % candidates.size(),
      {.rows = model_.span->max_rows(), .prefill_rows = decodes ? prefill_rows_ : kPrefillRows});
  std::vector<Share> shares;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    candidates[i].rows = taken[i];
    if (taken[i] > 0) shares.push_back(candidates[i]);
  }
  return shares;
}

void Scheduler::LearnPrefillRows(std::span<const Share> shares, absl::Duration elapsed) {
  std::int64_t rows = 0;
  for (const Share& share : shares) rows += share.rows > 1 ? share.rows : 0;
  if (rows > 0) prefill_rows_ = PrefillRowsBesideDecoding(rows, elapsed);
}

void Scheduler::AskGate(std::vector<Share>& shares) {
  if (options_.gate == nullptr) return;
  const HostedSession* asked = nullptr;
  std::erase_if(shares, [&](const Share& share) {
    if (std::exchange(asked, share.session) != share.session) {
      const absl::Status allowed = options_.gate->MayContinue(share.session->id());
      if (!allowed.ok()) Fail(*share.session, allowed);
    }
    return !share.session->state->computes();
  });
}

void Scheduler::Fail(HostedSession& session, const absl::Status& status) {
  options_.listener.OnSessionFailed(session, status, PeerId{});
}

void Scheduler::RunGroup(std::span<const Share> group) {
  const Stopwatch watch;
  absl::Status status = Gather(group);
  if (status.ok()) {
    status = model_.span->Forward(runs_, *model_.cache, hidden_.data(), failed_,
                                  group.front().session->state->request().blocks());
  }
  if (absl::IsInternal(status)) options_.listener.OnDeviceFailed(status);
  const absl::Duration elapsed = watch.elapsed();
  ++options_.counters.passes;
  options_.counters.rows += failed_.size();
  options_.counters.computing_ns += absl::ToInt64Nanoseconds(elapsed);
  std::int64_t row = 0;
  for (const Share& share : group) {
    if (status.ok()) {
      Deliver(share, row, elapsed * share.rows / static_cast<std::int64_t>(failed_.size()));
    } else {
      share.session->state->DropUnfinished(share.sequence);
      Fail(*share.session, absl::InternalError(status.ToString()));
    }
    row += share.rows;
  }
}

absl::Status Scheduler::Gather(std::span<const Share> group) {
  runs_.clear();
  std::int64_t rows = 0;
  for (const Share& share : group) {
    HopSession& state = *share.session->state;
    const std::string_view payload = state.waiting(share.sequence).Front(share.rows);
    if (share.session->meter) share.session->meter->AddInput(payload);
    float* hidden = hidden_.data() + rows * model_.spec.hidden_size;
    if (state.request().takes_ids()) {
      ids_.resize(share.rows);
      std::memcpy(ids_.data(), payload.data(), payload.size());
      FALLOW_RETURN_IF_ERROR(model_.head->Embed(ids_, hidden));
    } else {
      FALLOW_RETURN_IF_ERROR(
          DecodeRows(model_.format(), payload, share.rows, model_.spec.hidden_size, hidden));
    }
    runs_.push_back({.sequence = state.kv(share.sequence),
                     .position = state.kv_len(share.sequence),
                     .rows = share.rows});
    rows += share.rows;
  }
  failed_.assign(rows, 0);
  return absl::OkStatus();
}

void Scheduler::Deliver(const Share& share, std::int64_t first_row, absl::Duration computing) {
  HostedSession& session = *share.session;
  const auto failed = failed_.begin() + first_row;
  if (std::any_of(failed, failed + share.rows, [](std::uint8_t bad) { return bad != 0; })) {
    session.state->DropUnfinished(share.sequence);
    return Fail(session, absl::InternalError(absl::StrCat(
                             "blocks ", ToString(session.state->request().blocks()),
                             ": output of sequence ", share.sequence, " after position ",
                             session.state->kv_len(share.sequence), " is not finite")));
  }
  wire_.clear();
  EncodeRows(model_.format(), hidden_.data() + first_row * model_.spec.hidden_size, share.rows,
             model_.spec.hidden_size, wire_);
  const std::int64_t unwanted = session.state->Computed(share.sequence, share.rows, wire_);
  const bool samples = session.state->request().samples();
  if (session.meter && !samples) session.meter->AddOutput(wire_);
  SessionCounters& counters = session.link->counters();
  counters.rows_done += samples ? share.rows : unwanted;
  counters.computing_ns += absl::ToInt64Nanoseconds(computing);
  if (share.rows != 1) return;
  ++counters.steps;
  counters.steps_ns += absl::ToInt64Nanoseconds(computing);
}

void Scheduler::SendReceipt(HostedSession& session) {
  std::string receipt = options_.gate->MakeReceipt(session.meter->done());
  if (receipt.empty()) return;
  v1::ControlDown message;
  message.mutable_receipt()->set_receipt(std::move(receipt));
  session.link->Send(std::move(message));
}

void Scheduler::SampleAll() {
  std::vector<Draw> draws;
  for (const auto& [id, session] : options_.sessions) {
    RingEnd* ring_end = session->state->ring_end();
    if (ring_end == nullptr || !session->MayCompute()) continue;
    for (int i = 0; i < session->state->sequences(); ++i) {
      if (session->state->HasUnsent(i) && ring_end->Wants(i)) draws.push_back({session.get(), i});
    }
  }
  const auto batch = static_cast<std::size_t>(std::min(kDrawRows, model_.span->max_rows()));
  for (std::size_t begin = 0; begin < draws.size(); begin += batch) {
    Sample(std::span(draws).subspan(begin, std::min(batch, draws.size() - begin)));
  }
}

void Scheduler::Sample(std::span<const Draw> draws) {
  absl::Status status;
  needed_.clear();
  for (std::size_t i = 0; i < draws.size(); ++i) {
    const HopSession& state = *draws[i].session->state;
    const std::string_view row = state.outbox(draws[i].sequence).Row(state.sent(draws[i].sequence));
    status.Update(DecodeRows(model_.format(), row, 1, model_.spec.hidden_size,
                             hidden_.data() + i * model_.spec.hidden_size));
    needed_.push_back(draws[i].session->state->ring_end()->candidates_needed());
  }
  if (status.ok()) {
    status = batch_.Compute(*model_.head, model_.spec.vocab_size, hidden_.data(), needed_);
  }
  if (absl::IsInternal(status)) options_.listener.OnDeviceFailed(status);
  for (std::size_t begin = 0; begin < draws.size();) {
    HostedSession& session = *draws[begin].session;
    std::size_t end = begin;
    bool finite = true;
    for (; end < draws.size() && draws[end].session == &session; ++end) {
      finite = finite && status.ok() && batch_.finite(end);
    }
    if (finite) {
      SendTokens(session, draws.subspan(begin, end - begin), begin);
    } else {
      Fail(session,
           absl::InternalError(status.ok() ? "head: logits are not finite" : status.ToString()));
    }
    begin = end;
  }
}

void Scheduler::SendTokens(HostedSession& session, std::span<const Draw> draws,
                           std::size_t first_row) {
  HopSession& state = *session.state;
  RingEnd& ring_end = *state.ring_end();
  std::vector<Relay::IdRow> next;
  v1::ControlDown message;
  message.mutable_tokens()->set_epoch(state.epoch());
  for (const Draw& draw : draws) {
    const auto position = static_cast<std::uint32_t>(ring_end.next(draw.sequence));
    const TokenId id = batch_.Sample(first_row++, draw.sequence, ring_end);
    state.Sent(draw.sequence, 1);
    if (session.meter) session.meter->AddOutput({reinterpret_cast<const char*>(&id), sizeof(id)});
    v1::Token& token = *message.mutable_tokens()->add_tokens();
    token.set_sequence(static_cast<std::uint32_t>(draw.sequence));
    token.set_position(position);
    token.set_id(id);
    if (!ring_end.Continues(draw.sequence)) continue;
    if (state.request().takes_ids()) {
      state.TakeId(draw.sequence, id);
    } else {
      next.push_back({static_cast<std::uint32_t>(draw.sequence), position, id});
    }
  }
  session.relay.SendIds(next);
  session.link->Send(std::move(message));
}

bool Scheduler::AnyWork() const {
  return std::any_of(options_.sessions.begin(), options_.sessions.end(), [](const auto& entry) {
    const HostedSession& session = *entry.second;
    return session.MayCompute() && session.state->waiting_rows() > 0;
  });
}

}  // namespace fallow
