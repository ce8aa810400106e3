// What clients say on control streams.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/hop.h"

namespace fallow {
namespace {

std::int64_t InWholePages(std::int64_t tokens) {
  return (tokens + kPagePositions - 1) / kPagePositions * kPagePositions;
}

SharingCircle CircleOf(const HostedSession& session) {
  return {session.owner, session.state->request().blocks()};
}

}  // namespace

HostedSession* Hop::FindByLink(const ControlLink& link) const {
  for (const auto& [id, session] : sessions_) {
    if (session->link.get() == &link) return session.get();
  }
  return nullptr;
}

void Hop::OnControlMessage(const std::shared_ptr<ControlLink>& link, const v1::ControlUp& message) {
  if (stopped_) return;
  if (message.has_open()) return TakeOpen(link, message);
  HostedSession* session = FindByLink(*link);
  if (session == nullptr) return;  // refused, removed, or taken over on another stream
  if (message.has_close()) return Remove(*session, absl::OkStatus());
  absl::Status status = absl::InvalidArgumentError("control: a message of no known kind");
  if (message.has_start()) status = TakeStart(*session, message.start());
  if (message.has_ack()) status = TakeAck(*session, message.ack());
  if (status.ok()) return;
  OnSessionFailed(*session, status, PeerId{});
  if (absl::IsInvalidArgument(status)) Remove(*session, status);
}

void Hop::TakeOpen(const std::shared_ptr<ControlLink>& link, const v1::ControlUp& message) {
  const std::uint32_t epoch = message.open().epoch();
  const auto request = ReadOpen(message.open(), options_.model, options_.self, options_.limits);
  if (!request.ok()) return Refuse(link, request.status(), epoch);
  const HostedSession* bound = FindByLink(*link);
  if (bound != nullptr && bound->id() != request->session) {
    return Refuse(link, absl::InvalidArgumentError("open: this stream has another session"), epoch);
  }
  const auto session = OpenSession(*request, link, message.governance());
  if (!session.ok()) return Refuse(link, session.status(), epoch);
  Bind(**session, link);
}

// The session that the stream had stays as it was.
void Hop::Refuse(const std::shared_ptr<ControlLink>& link, const absl::Status& status,
                 std::uint32_t epoch) {
  link->SendError(status, PeerId{}, epoch);
  if (FindByLink(*link) == nullptr) link->Finish(status);
}

absl::StatusOr<HostedSession*> Hop::OpenSession(const OpenRequest& request,
                                                const std::shared_ptr<ControlLink>& link,
                                                const std::string& governance) {
  const PeerId& client = link->remote();
  FALLOW_RETURN_IF_ERROR(CheckClient(request, client));
  HostedSession* session = Find(request.session);
  if (session != nullptr && !request.resume) {
    if (session->link == link) desk_.Release(std::exchange(session->link, nullptr));
    // Its data streams may be meant for the new one.
    while (!session->inbound.empty()) Expel(*session->inbound.back());
    Remove(*session, absl::AbortedError("the session was opened anew"));
  }
  if (options_.gate) {
    FALLOW_RETURN_IF_ERROR(options_.gate->Admit({.session = request.session,
                                                 .client = client,
                                                 .blocks = request.blocks(),
                                                 .sequences = request.sequences,
                                                 .kv_tokens = request.kv_tokens,
                                                 .governance = governance}));
  }
  absl::Status room = MakeRoom(request);
  if (request.resume) {
    if (room.ok()) room = session->state->Reopen(request);
    if (!room.ok()) return room;
    return session;
  }
  auto created = room.ok() ? CreateSession(request, client) : absl::StatusOr<HostedSession*>(room);
  if (!created.ok() && options_.gate) options_.gate->Ended(request.session);
  return created;
}

// May this client open, resume or replace this session?
absl::Status Hop::CheckClient(const OpenRequest& request, const PeerId& client) const {
  const HostedSession* session = Find(request.session);
  if (session == nullptr) {
    if (request.resume) return absl::AbortedError("open: the session is not held here");
    if (counters_.draining) return absl::UnavailableError("open: this hop is about to stop");
    return absl::OkStatus();
  }
  const bool owns = client.empty() ? SameSecret(request.secret, session->state->request().secret)
                                   : client == session->owner;
  if (!owns) return absl::PermissionDeniedError("open: the session belongs to another peer");
  if (request.epoch <= session->state->epoch()) {
    return absl::AbortedError(absl::StrCat("open: epoch ", request.epoch, ", the session is at ",
                                           session->state->epoch()));
  }
  return absl::OkStatus();
}

// Evicts what sessions that are gone have left, then sessions whose client is gone, those that lost
// it first, as far as that is needed and helps.
absl::Status Hop::MakeRoom(const OpenRequest& request) {
  KvCache& cache = *options_.model.cache;
  const HostedSession* resumed = Find(request.session);
  const std::int64_t held = resumed == nullptr ? 0
                                               : InWholePages(resumed->state->request().kv_tokens) *
                                                     resumed->state->sequences();
  const std::int64_t wanted = InWholePages(request.kv_tokens) * request.sequences - held;
  std::vector<HostedSession*> lost;
  std::int64_t free = cache.capacity_tokens() - cache.reserved_tokens();
  std::int64_t evictable = free + kept_.reserved_tokens();
  for (const auto& [id, session] : sessions_) {
    if (session->link || session.get() == resumed) continue;
    lost.push_back(session.get());
    evictable += InWholePages(session->state->request().kv_tokens) * session->state->sequences();
  }
  const auto full = [&](std::size_t gone) {
    return resumed == nullptr &&
           sessions_.size() - gone >= static_cast<std::size_t>(options_.limits.max_sessions);
  };
  if (evictable < wanted) {
    return absl::ResourceExhaustedError(absl::StrCat("open: ", wanted, " positions, free are ",
                                                     free, " of ", cache.capacity_tokens()));
  }
  if (full(lost.size())) {
    return absl::ResourceExhaustedError(
        absl::StrCat("open: there are ", sessions_.size(), " sessions, the most allowed"));
  }
  std::sort(lost.begin(), lost.end(),
            [](const HostedSession* a, const HostedSession* b) { return a->lost_at > b->lost_at; });
  const auto lacks = [&] { return cache.capacity_tokens() - cache.reserved_tokens() < wanted; };
  while (full(0) || lacks()) {
    if (lacks() && kept_.DropOldest()) continue;
    if (lost.empty()) break;
    Remove(*lost.back(), absl::ResourceExhaustedError("evicted"));
    lost.pop_back();
  }
  return absl::OkStatus();
}

void Hop::ShareBeginnings(HostedSession& session) {
  HopSession& state = *session.state;
  const SharingCircle circle = CircleOf(session);
  for (int i = 0; i < state.sequences(); ++i) {
    if (!state.MayShare(i) || state.offered(i).positions() == 0) continue;
    SharedBeginning best = kept_.Find(circle, state.offered(i));
    for (const auto& [id, other] : sessions_) {
      if (CircleOf(*other) != circle) continue;
      for (int j = 0; j < other->state->sequences(); ++j) {
        const std::int64_t positions = other->state->Held(j).InCommon(state.offered(i));
        if (positions > best.positions) best = {other->state->kv(j), positions};
      }
    }
    if (best.positions > 0) state.Share(i, best.kv, best.positions);
  }
}

void Hop::KeepBeginnings(const HostedSession& session) {
  for (int i = 0; i < session.state->sequences(); ++i) {
    kept_.Keep(CircleOf(session), session.state->Held(i), session.state->kv(i));
  }
}

absl::StatusOr<HostedSession*> Hop::CreateSession(const OpenRequest& request,
                                                  const PeerId& client) {
  FALLOW_ASSIGN_OR_RETURN(auto state, HopSession::Create(options_.model, options_.limits, request));
  SessionListener& listener = *this;
  auto session = std::make_unique<HostedSession>(std::move(state), client, transport_, data_,
                                                 options_.limits, listener);
  if (options_.gate) session->meter.emplace(request.session, client, request.blocks().size());
  HostedSession& opened = *session;
  sessions_[request.session] = std::move(session);
  opened.last_step = data_.Now();
  CheckIdle(opened);
  return &opened;
}

void Hop::Bind(HostedSession& session, const std::shared_ptr<ControlLink>& link) {
  data_.Cancel(session.grace_timer);
  if (session.link != link) {
    if (session.link) {
      session.link->Finish(absl::AbortedError("the session was resumed on another stream"));
      desk_.Release(std::move(session.link));
    }
    session.link = link;
  }
  link->counters().Reset();
  session.last_step = data_.Now();
  ShareBeginnings(session);
  CountSessions();
  v1::ControlDown message;
  session.state->Describe(*message.mutable_opened());
  link->Send(std::move(message));
  session.relay.Connect();
  ReviewInbound(session);
  RetryInbound(session);
}

void Hop::OnControlLost(const std::shared_ptr<ControlLink>& link) {
  HostedSession* session = stopped_ ? nullptr : FindByLink(*link);
  if (session == nullptr) return;
  desk_.Release(std::move(session->link));
  session->link = nullptr;
  session->lost_at = data_.Now();
  session->grace_timer = data_.After(options_.limits.grace, [this, session] {
    Remove(*session, absl::DeadlineExceededError("the client did not come back"));
  });
}

// Sessions without a step for too long are closed.
void Hop::CheckIdle(HostedSession& session) {
  const absl::Duration left = session.last_step + options_.limits.idle - data_.Now();
  if (left <= absl::ZeroDuration()) {
    const absl::Status status = absl::DeadlineExceededError("the session was idle for too long");
    OnSessionFailed(session, status, PeerId{});
    return Remove(session, status);
  }
  session.idle_timer = data_.After(left, [this, &session] { CheckIdle(session); });
}

absl::Status Hop::TakeStart(HostedSession& session, const v1::Start& start) {
  if (session.state->failed())
    return absl::OkStatus();  // it was under way when the client was told
  FALLOW_RETURN_IF_ERROR(session.state->Start(start));
  session.relay.Restart();
  session.link->counters().Reset();
  session.last_step = data_.Now();
  scheduler_.CountWaiting();
  OnOutputs(session);  // those that are sent again
  scheduler_.Wake();   // the first token may be sampled from what is held
  return absl::OkStatus();
}

absl::Status Hop::TakeAck(HostedSession& session, const v1::Ack& ack) {
  if (!ack.voucher().empty() && options_.gate) {
    FALLOW_RETURN_IF_ERROR(options_.gate->TakeVoucher(session.id(), ack.voucher()));
  }
  RingEnd* ring_end = session.state->ring_end();
  if (ack.epoch() != session.state->epoch() || ring_end == nullptr) return absl::OkStatus();
  if (ack.known_size() > session.state->sequences()) {
    return absl::InvalidArgumentError(
        absl::StrCat("ack: ", ack.known_size(), " sequences of ", session.state->sequences()));
  }
  for (int i = 0; i < ack.known_size(); ++i) {
    FALLOW_RETURN_IF_ERROR(ring_end->Acknowledge(i, ack.known(i)));
  }
  scheduler_.Wake();
  return absl::OkStatus();
}

}  // namespace fallow
