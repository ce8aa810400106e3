#include "server/hop.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"

namespace fallow {
namespace {

// Data streams that one peer may have to a session, in each direction: those that broke may not
// have been noticed yet.
constexpr int kMaxInboundOfPeer = 4;

}  // namespace

Hop::Hop(Options options, Transport& transport, Loop& control, Loop& data)
    : options_(std::move(options)),
      transport_(transport),
      data_(data),
      desk_({.info = DescribeModel(options_.model),
             .kv_tokens = options_.model.cache->capacity_tokens(),
             .limits = options_.limits,
             .gate = options_.gate},
            counters_, *this, control, data),
      kept_(*options_.model.cache),
      scheduler_({.model = options_.model,
                  .sessions = sessions_,
                  .data = data,
                  .counters = counters_,
                  .listener = *this,
                  .gate = options_.gate.get()}) {}

Hop::~Hop() = default;

v1::InfoReply Hop::OnInfo(const PeerId&) { return desk_.Info(); }

void Hop::OnControl(const PeerId& remote, std::unique_ptr<ControlServer> stream) {
  desk_.Accept(remote, std::move(stream));
}

void Hop::OnData(const PeerId& remote, std::unique_ptr<DataStream> stream) {
  if (stopped_) return;
  InboundListener& listener = *this;
  inbound_.push_back(
      std::make_unique<Inbound>(++last_inbound_, remote, std::move(stream), listener));
  Inbound& inbound = *inbound_.back();
  inbound.Start();
  const auto strangers = std::count_if(inbound_.begin(), inbound_.end(),
                                       [](const auto& each) { return !each->admitted(); });
  if (strangers > options_.limits.max_strangers) {
    return Drop(inbound, absl::ResourceExhaustedError("data: too many streams"));
  }
  AwaitAdmission(inbound);
}

void Hop::AwaitAdmission(Inbound& inbound) {
  data_.After(options_.limits.handshake, [this, number = inbound.number()] {
    for (const auto& each : inbound_) {
      if (each->number() != number || each->admitted()) continue;
      return Drop(*each, absl::PermissionDeniedError("data: no session here expects this stream"));
    }
  });
}

// A stream may come before its session is opened, or is given this route: then it waits.
void Hop::OnHello(Inbound& inbound) {
  HostedSession* session = Find(inbound.session());
  if (session != nullptr && MaySpeak(inbound, *session)) Admit(inbound, *session);
}

bool Hop::MaySpeak(const Inbound& inbound, const HostedSession& session) const {
  const OpenRequest& request = session.state->request();
  if (!SameSecret(inbound.secret(), request.secret)) return false;
  const bool owner = inbound.remote() == session.owner;
  if (inbound.receives()) {
    const bool of_this_open = inbound.epoch() == 0 || inbound.epoch() == request.epoch;
    return owner && !request.ring && request.last() && of_this_open;
  }
  const bool has_previous = request.ring || !request.first();
  return owner || (has_previous && inbound.remote() == request.previous().peer);
}

void Hop::Admit(Inbound& inbound, HostedSession& session) {
  session.inbound.push_back(&inbound);
  if (inbound.receives()) session.relay.UseStream(&inbound.stream());
  inbound.Admit();
  const auto alike = [&](const Inbound* other) {
    return other->remote() == inbound.remote() && other->receives() == inbound.receives();
  };
  const auto& all = session.inbound;
  if (std::count_if(all.begin(), all.end(), alike) > kMaxInboundOfPeer) {
    Drop(**std::find_if(all.begin(), all.end(), alike),
         absl::AbortedError("data: a later stream took its place"));
  }
  if (inbound.receives()) OnOutputs(session);
}

// It is not listened to any more, unless it is admitted again soon.
void Hop::Expel(Inbound& inbound) {
  Detach(inbound);
  inbound.Expel();
  AwaitAdmission(inbound);
}

// After a session was opened or reopened: the streams that its route names may speak.
void Hop::ReviewInbound(HostedSession& session) {
  const std::vector<Inbound*> before = session.inbound;
  for (Inbound* inbound : before) {
    if (!MaySpeak(*inbound, session)) Expel(*inbound);
  }
  for (const auto& inbound : inbound_) {
    if (inbound->waits() && inbound->session() == session.id()) OnHello(*inbound);
  }
}

void Hop::Detach(Inbound& inbound) {
  HostedSession* session = Find(inbound.session());
  if (session == nullptr) return;
  std::erase(session->inbound, &inbound);
  if (session->relay.stream() == &inbound.stream()) session->relay.UseStream(nullptr);
}

void Hop::Drop(Inbound& inbound, const absl::Status& status) {
  inbound.Finish(status);
  OnInboundEnded(inbound);
}

// It may be the caller, so it goes a little later.
void Hop::OnInboundEnded(Inbound& inbound) {
  Detach(inbound);
  data_.Post([this, number = inbound.number()] {
    std::erase_if(inbound_, [&](const auto& each) { return each->number() == number; });
  });
}

// Any honest step is smaller than this: so much may be held back for each stream.
std::size_t Hop::max_step_bytes() const {
  return kMaxStepBytes + options_.model.row_bytes() + (256 << 10);
}

HopSession::Verdict Hop::OnStep(Inbound& inbound, const v1::Step& step) {
  if (step.ByteSizeLong() > max_step_bytes()) {
    OnInboundBroke(inbound, absl::InvalidArgumentError("step: too large"));
    return HopSession::Verdict::kDrop;
  }
  HostedSession* session = Find(inbound.session());
  if (session == nullptr) return HopSession::Verdict::kDrop;
  const HopSession::Verdict verdict = session->state->Judge(step.epoch());
  if (verdict != HopSession::Verdict::kTake) return verdict;
  const absl::StatusOr<std::int64_t> rows = session->state->Take(step);
  if (!rows.ok()) {
    OnInboundBroke(inbound, rows.status());
    return HopSession::Verdict::kDrop;
  }
  session->last_step = data_.Now();
  if (session->link) session->link->counters().rows_received += *rows;
  counters_.queued_rows += *rows;
  scheduler_.Wake();
  return verdict;
}

void Hop::OnInboundBroke(Inbound& inbound, const absl::Status& status) {
  HostedSession* session = inbound.admitted() ? Find(inbound.session()) : nullptr;
  Drop(inbound, status);
  if (session != nullptr) OnSessionFailed(*session, status, inbound.remote());
}

void Hop::OnInboundDrained(Inbound& inbound) {
  HostedSession* session = inbound.receives() ? Find(inbound.session()) : nullptr;
  if (session != nullptr && session->relay.stream() == &inbound.stream()) OnOutputs(*session);
}

void Hop::OnOutputs(HostedSession& session) {
  const std::int64_t fresh = session.relay.SendRows();
  if (session.link) {
    session.link->counters().rows_done += fresh;
    session.link->counters().rows_unsent = session.relay.HeldUp();
  }
  RetryInbound(session);
  if (session.MayCompute() && session.state->waiting_rows() > 0) scheduler_.Wake();
}

void Hop::RetryInbound(HostedSession& session) {
  const std::vector<Inbound*> before = session.inbound;  // a bad frame changes it
  for (Inbound* inbound : before) inbound->Retry();
}

void Hop::OnSessionFailed(HostedSession& session, const absl::Status& status, const PeerId& about) {
  if (session.state->failed()) return;
  session.state->Fail();
  if (session.link) session.link->SendError(status, about, session.state->epoch());
}

// What the sessions held is lost, so they go: their clients find another hop.
void Hop::OnDeviceFailed(const absl::Status& status) {
  if (counters_.draining.exchange(true)) return;
  Log(LogLevel::kError, absl::StrCat("this server takes no sessions any more, start it again: ",
                                     std::string(status.message())));
  data_.Post([this, status] {
    while (!sessions_.empty()) {
      HostedSession& session = *sessions_.begin()->second;
      OnSessionFailed(session, status, PeerId{});
      Remove(session, status);
    }
  });
}

HostedSession* Hop::Find(const SessionId& id) const {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second.get();
}

void Hop::Remove(HostedSession& session, const absl::Status& status) {
  data_.Cancel(session.grace_timer);
  data_.Cancel(session.idle_timer);
  while (!session.inbound.empty()) Drop(*session.inbound.front(), status);
  if (options_.gate) {
    if (session.link) scheduler_.SendReceipt(session);
    options_.gate->Ended(session.id());
  }
  if (status.ok()) KeepBeginnings(session);
  if (session.link) {
    session.link->Finish(status);
    desk_.Release(std::exchange(session.link, nullptr));
  }
  const SessionId id = session.id();
  sessions_.erase(id);
  CountSessions();
  if (sessions_.empty() && emptied_) std::exchange(emptied_, nullptr)();
}

void Hop::CountSessions() {
  counters_.sessions = static_cast<int>(sessions_.size());
  counters_.kv_tokens_reserved = options_.model.cache->reserved_tokens() - kept_.reserved_tokens();
  scheduler_.CountWaiting();
}

void Hop::Drain(absl::Duration deadline, std::function<void()> emptied) {
  counters_.draining = true;
  if (sessions_.empty()) return emptied();
  emptied_ = std::move(emptied);
  v1::ControlDown message;
  message.mutable_drain()->set_deadline_ms(
      static_cast<std::uint32_t>(absl::ToInt64Milliseconds(deadline)));
  for (const auto& [id, session] : sessions_) {
    if (session->link) session->link->Send(message);
  }
}

void Hop::CloseAll() {
  stopped_ = true;
  while (!sessions_.empty()) {
    Remove(*sessions_.begin()->second, absl::UnavailableError("the server is stopping"));
  }
  inbound_.clear();
}

}  // namespace fallow
