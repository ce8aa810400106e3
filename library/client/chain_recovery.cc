// The half of Chain that notices failures, finds the peer at fault and goes on without it.
#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "client/chain.h"

namespace fallow {
namespace {

constexpr int kRelaunches = 1;  // of a route on which nobody is at fault, before a hop is replaced

}  // namespace

// ---- silence

bool Chain::Expecting() const {
  return std::any_of(sequences_.begin(), sequences_.end(), [&](const Sequence& sequence) {
    if (sequence.finished) return false;
    const auto known = static_cast<std::int64_t>(sequence.turn.ids.size());
    if (options_.end_mode == EndMode::kRing) return known - sequence.acknowledged < kRunAhead;
    return sequence.turn.wanted < known;
  });
}

void Chain::Watch() {
  if (state_ != State::kRunning || timer_set_) return;
  if (!recovery_.has_value() && !Expecting()) return;
  SetTimer(Patience::BeforeBeat(), &Chain::OnSilence);
}

void Chain::OnSilence() {
  if (state_ != State::kRunning || !Expecting()) return;
  const absl::Duration left = Patience::BeforeBeat() - Silence();
  if (left > absl::ZeroDuration()) return SetTimer(left, &Chain::OnSilence);
  AskAll();
}

absl::Duration Chain::Silence() const { return loop_.Now() - expecting_since_; }

void Chain::AskAll() {
  state_ = State::kAsking;
  for (const auto& hop : hops_) hop->AskBeat();
  SetTimer(Patience::ForBeat(), &Chain::OnBeatsDue);
}

void Chain::OnBeat(HopLink&) {
  const bool all = std::all_of(hops_.begin(), hops_.end(),
                               [](const auto& hop) { return hop->report().answered; });
  if (!all) return;
  if (on_measured_ != nullptr) FinishMeasuring();
  if (state_ == State::kRunning) owner_.OnRoute(MeasuredRoute());
  if (state_ == State::kAsking && in_doubt_) OnBeatsDue();
}

void Chain::OnBeatsDue() {
  if (state_ == State::kRunning) return Watch();
  if (state_ != State::kAsking) return;
  const bool overdue = Silence() >= patience_.ForRows(rows_on_the_way_);
  const std::vector<HopReport> reports = Reports();
  if (auto blame = FindBlame(reports, overdue)) {
    return Replace(*hops_[blame->hop], blame->reason, /*at_fault=*/true);
  }
  // Nothing is computed and nothing was on its way: however slow they are, this does not pass.
  const bool stalled = AllIdle(reports) && std::exchange(last_reports_, reports) == reports;
  if (!overdue && !in_doubt_ && !stalled) return AskAll();
  BeginAnew();
}

// Nobody is at fault and yet nothing comes: rows were lost, or two hops do not reach each other.
void Chain::BeginAnew() {
  if (relaunches_++ < kRelaunches) {
    BeginRecovery(PeerId{}, "rows were lost between two hops");
    return OpenAll();
  }
  if (accusation_.has_value() && Find(accusation_->by) && Find(accusation_->about)) {
    return ReplaceAccused();
  }
  Replace(*hops_[BehindWidestGap(Reports())], "cannot be reached by the hop before it",
          /*at_fault=*/true);
}

// Who accuses one hop after another is at fault itself.
void Chain::ReplaceAccused() {
  const Accusation accusation = *std::exchange(accusation_, std::nullopt);
  const std::string by = accusation.by.ShortString();
  if (!believed_.insert(accusation.by).second) {
    return Replace(*Find(accusation.by), "accuses one hop after another", /*at_fault=*/true);
  }
  Replace(*Find(accusation.about), absl::StrCat("is accused by ", by, ": ", accusation.why),
          /*at_fault=*/true);
}

std::vector<HopReport> Chain::Reports() const {
  std::vector<HopReport> reports;
  for (const auto& hop : hops_) reports.push_back(hop->report());
  return reports;
}

HopLink* Chain::Find(const PeerId& peer) {
  const auto found = std::find_if(hops_.begin(), hops_.end(),
                                  [&](const auto& hop) { return hop->peer() == peer; });
  return found == hops_.end() ? nullptr : found->get();
}

// ---- what hops report

bool Chain::Deaf() const {
  return state_ == State::kIdle || state_ == State::kFailed || state_ == State::kLooking;
}

void Chain::OnOpenDue() {
  if (state_ != State::kOpening) return;
  for (const auto& hop : hops_) {
    if (!hop->opened(epoch_)) {
      return Replace(*hop, "did not open the session in time", /*at_fault=*/true);
    }
  }
}

void Chain::OnError(HopLink& hop, absl::Status status, const PeerId& about) {
  if (Deaf()) return;
  const std::string message(status.message());
  if (!about.empty() && about != hop.peer()) {
    if (Find(about) == nullptr) return;
    accusation_ = {hop.peer(), about, message};
    in_doubt_ = true;
    if (state_ != State::kOpening) AskAll();  // else who opens shows who is there
    return;
  }
  switch (status.code()) {
    case absl::StatusCode::kAborted:  // it lost the session: begin there anew, once
      if (!restarted_.insert(hop.peer()).second) return Replace(hop, message, /*at_fault=*/true);
      BeginRecovery(PeerId{}, absl::StrCat(hop.peer().ShortString(), ": ", message));
      Substitute(hop, {hop.stop()});
      return OpenAll();
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnimplemented:
      return Replace(hop, message, /*at_fault=*/false);
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kPermissionDenied:
      return Replace(hop, message, /*at_fault=*/true);
    default:  // our request, a halt, or missing payment: nobody else would answer otherwise
      return Fail(
          absl::Status(status.code(), absl::StrCat(hop.stop().address.ToString(), ": ", message)));
  }
}

void Chain::OnBroken(HopLink& hop, absl::Status status) {
  if (Deaf()) return;
  const std::string reason(status.message());
  if (status.code() == absl::StatusCode::kPermissionDenied ||
      !redialled_.insert(hop.peer()).second) {
    return Replace(hop, reason, /*at_fault=*/true);
  }
  // The connection broke, the hop may still be there with all that it holds.
  BeginRecovery(PeerId{}, absl::StrCat(hop.peer().ShortString(), ": ", reason));
  OpenAll();
}

void Chain::OnFeedBroken(absl::Status) {
  if (state_ != State::kRunning && state_ != State::kAsking) return;
  in_doubt_ = true;
  AskAll();
}

void Chain::OnDrain(HopLink& hop, absl::Duration) {
  if (state_ != State::kRunning && state_ != State::kAsking) return;
  std::set<PeerId> exclude = excluded_;
  exclude.insert(hop.peer());
  if (!options_.plan(hop.stop().blocks, kv_tokens_, exclude).ok()) return;  // stay while it lasts
  Replace(hop, "drains", /*at_fault=*/false);
}

// ---- going on

void Chain::BeginRecovery(const PeerId& blamed, const std::string& reason) {
  if (!recovery_.has_value()) {
    recovery_ = Recovery{blamed, reason, absl::ZeroDuration()};
  } else if (!blamed.empty()) {
    recovery_->blamed = blamed;
    recovery_->reason = reason;
  }
}

void Chain::Replace(HopLink& hop, const std::string& reason, bool at_fault) {
  const PeerId peer = hop.peer();
  BeginRecovery(at_fault ? peer : PeerId{}, absl::StrCat(peer.ShortString(), ": ", reason));
  excluded_.insert(peer);
  if (at_fault) options_.on_blame(peer);
  if (!ReplaceByPlan(hop).ok()) LookAgain(peer, reason);
}

absl::Status Chain::ReplaceByPlan(HopLink& hop) {
  auto route = options_.plan(hop.stop().blocks, kv_tokens_, excluded_);
  if (!route.ok()) return route.status();
  Substitute(hop, *route);
  relaunches_ = 0;
  OpenAll();
  return absl::OkStatus();
}

// A replica may have come since the peers were asked. What other hops report meanwhile, they report
// again when the chain opens anew.
void Chain::LookAgain(const PeerId& peer, const std::string& reason) {
  CancelTimer();
  state_ = State::kLooking;
  options_.look_again([this, alive = std::weak_ptr(alive_), peer, reason, epoch = epoch_] {
    if (alive.expired() || state_ != State::kLooking || epoch != epoch_) return;
    HopLink& hop = *Find(peer);
    const std::string address = hop.stop().address.ToString();
    const absl::Status status = ReplaceByPlan(hop);
    if (status.ok()) return;
    Fail(absl::Status(status.code(), absl::StrCat(std::string(status.message()), " (given up: ",
                                                  address, ", which ", reason, ")")));
  });
}

// Dials `stops` in the hop's place. The hop is told to free the session, if it still listens, and
// forgotten outside its own callback.
void Chain::Substitute(HopLink& hop, const std::vector<RouteStop>& stops) {
  auto at = std::find_if(hops_.begin(), hops_.end(),
                         [&](const auto& each) { return each.get() == &hop; });
  hop.Close();
  loop_.Post([old = std::move(*at)] {});
  at = hops_.erase(at);
  std::vector<std::unique_ptr<HopLink>> links;
  for (const RouteStop& stop : stops) links.push_back(Dial(stop));
  hops_.insert(at, std::make_move_iterator(links.begin()), std::make_move_iterator(links.end()));
}

void Chain::Fail(absl::Status status) {
  CancelTimer();
  state_ = State::kFailed;
  owner_.OnFailed(std::move(status));
}

// ---- the one timer

void Chain::SetTimer(absl::Duration delay, void (Chain::*then)()) {
  CancelTimer();
  timer_set_ = true;
  timer_ = loop_.After(delay, [this, then] {
    timer_set_ = false;
    (this->*then)();
  });
}

void Chain::CancelTimer() {
  if (timer_set_) loop_.Cancel(timer_);
  timer_set_ = false;
}

}  // namespace fallow
