#include "server/control_desk.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace fallow {
namespace {

constexpr std::size_t kMaxUnsentControl = 4 << 20;
constexpr std::uint32_t kRetryAfterMs = 1000;

}  // namespace

ControlLink::ControlLink(ControlDesk& desk, const PeerId& remote,
                         std::unique_ptr<ControlServer> stream)
    : desk_(desk), remote_(remote), stream_(std::move(stream)) {}

void ControlLink::Send(v1::ControlDown message) {
  if (desk_.options_.gate) message.set_governance(desk_.options_.gate->GovernanceDigest());
  if (stream_->queued_bytes() > kMaxUnsentControl) {
    return Finish(absl::ResourceExhaustedError("control: the client does not read"));
  }
  stream_->Write(std::move(message));
}

void ControlLink::SendError(const absl::Status& status, const PeerId& about, std::uint32_t epoch) {
  v1::ControlDown message;
  v1::Error& error = *message.mutable_error();
  error.set_code(static_cast<std::uint32_t>(status.code()));
  error.set_message(std::string(status.message()));
  error.set_epoch(epoch);
  if (!about.empty()) error.set_about_peer(about.bytes.data(), about.bytes.size());
  if (absl::IsResourceExhausted(status)) error.set_retry_after_ms(kRetryAfterMs);
  Send(std::move(message));
}

void ControlLink::Finish(absl::Status status) {
  desk_.control_.Post([self = shared_from_this(), status = std::move(status)] {
    if (std::exchange(self->finished_, true)) return;
    self->stream_->SetReading(false);
    self->stream_->Finish(status);
    self->desk_.Drop(self);
  });
}

void ControlLink::OnMessage(v1::ControlUp message) {
  if (finished_) return;
  if (message.has_beat()) return AnswerBeat(message.beat());
  if (!opened_ && !message.has_open()) {
    return Finish(absl::InvalidArgumentError("control: the first message is not Open"));
  }
  opened_ = true;
  HandOver(std::move(message));
}

void ControlLink::AnswerBeat(const v1::Beat& beat) {
  v1::ControlDown message;
  v1::Beat& answer = *message.mutable_beat();
  answer.set_nonce(beat.nonce());
  answer.set_rows_received(counters_.rows_received);
  answer.set_rows_done(counters_.rows_done);
  answer.set_queued_rows(static_cast<std::uint32_t>(desk_.counters_.queued_rows));
  answer.set_computing_us(counters_.computing_ns / 1000);
  answer.set_rows_unsent(counters_.rows_unsent);
  answer.set_steps(counters_.steps);
  answer.set_steps_us(counters_.steps_ns / 1000);
  Send(std::move(message));
}

// A client that sends faster than the data loop looks at it is not read on.
void ControlLink::HandOver(v1::ControlUp message) {
  if (desk_.stopped_) return;
  const auto bytes = static_cast<std::int64_t>(message.ByteSizeLong()) + 1024;
  unread_ += bytes;
  if (unread_ > desk_.options_.limits.max_unread) stream_->SetReading(false);
  desk_.data_.Post([self = shared_from_this(), message = std::move(message), bytes]() mutable {
    self->desk_.listener_.OnControlMessage(self, message);
    Loop& control = self->desk_.control_;
    control.Post([self = std::move(self), bytes] { self->HandedOver(bytes); });
  });
}

void ControlLink::HandedOver(std::int64_t bytes) {
  const bool was_off = unread_ > desk_.options_.limits.max_unread;
  unread_ -= bytes;
  if (was_off && unread_ <= desk_.options_.limits.max_unread && !finished_) {
    stream_->SetReading(true);
  }
}

void ControlLink::OnClosed(absl::Status) {
  finished_ = true;
  desk_.Drop(shared_from_this());
}

ControlDesk::ControlDesk(Options options, const HopCounters& counters, ControlListener& listener,
                         Loop& control, Loop& data)
    : options_(std::move(options)),
      counters_(counters),
      listener_(listener),
      control_(control),
      data_(data) {}

v1::InfoReply ControlDesk::Info() const {
  v1::InfoReply info = options_.info;
  info.set_free_kv_tokens(
      std::max<std::int64_t>(0, options_.kv_tokens - counters_.kv_tokens_reserved));
  const int free_sessions = std::max(0, options_.limits.max_sessions - counters_.sessions);
  info.set_free_sessions(counters_.draining ? 0 : free_sessions);
  info.set_queued_rows(static_cast<std::uint32_t>(counters_.queued_rows));
  return info;
}

void ControlDesk::Accept(const PeerId& remote, std::unique_ptr<ControlServer> stream) {
  if (stopped_) return;
  auto link = std::make_shared<ControlLink>(*this, remote, std::move(stream));
  links_.insert(link);
  link->stream_->Start(*link);
  const auto bound =
      static_cast<std::size_t>(options_.limits.max_sessions + options_.limits.max_strangers);
  if (links_.size() > bound) {
    return link->Finish(absl::ResourceExhaustedError("control: too many streams"));
  }
  control_.After(options_.limits.handshake,
                 [this, link = std::weak_ptr(link)] { CheckOpened(link); });
}

void ControlDesk::CheckOpened(const std::weak_ptr<ControlLink>& link) {
  const std::shared_ptr<ControlLink> held = link.lock();
  if (held && !held->opened_) held->Finish(absl::DeadlineExceededError("control: no Open came"));
}

void ControlDesk::Release(std::shared_ptr<ControlLink> link) {
  control_.Post([link = std::move(link)] {});
}

// The data loop may still hold the link; it gives it back through Release.
void ControlDesk::Drop(const std::shared_ptr<ControlLink>& link) {
  if (links_.erase(link) == 0 || stopped_) return;
  control_.Post([link] {});  // not destroyed in its own callback
  if (!link->opened_) return;
  data_.Post([link]() mutable {
    ControlDesk& desk = link->desk_;
    desk.listener_.OnControlLost(link);
    desk.Release(std::move(link));
  });
}

}  // namespace fallow
