#include "server/inbound.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace fallow {

Inbound::Inbound(std::uint64_t number, const PeerId& remote, std::unique_ptr<DataStream> stream,
                 InboundListener& listener)
    : number_(number), remote_(remote), stream_(std::move(stream)), listener_(listener) {}

void Inbound::OnMessage(v1::Frame frame) {
  if (finished_) return;
  if (!introduced_) {
    if (absl::Status status = ReadHello(frame.hello()); !status.ok()) {
      return listener_.OnInboundBroke(*this, status);
    }
    introduced_ = true;
    stream_->SetReading(false);  // until it is admitted
    return listener_.OnHello(*this);
  }
  if (absl::Status status = CheckStep(frame); !status.ok()) {
    return listener_.OnInboundBroke(*this, status);
  }
  if (frame.step().step_no() <= last_step_) return;
  last_step_ = frame.step().step_no();
  Offer(std::move(*frame.mutable_step()));
}

// An empty Hello stands for another frame: its session is missing.
absl::Status Inbound::ReadHello(const v1::Hello& hello) {
  FALLOW_ASSIGN_OR_RETURN(session_, ReadBytes<16>(hello.session(), "hello.session"));
  FALLOW_ASSIGN_OR_RETURN(secret_, ReadBytes<32>(hello.secret(), "hello.secret"));
  receives_ = hello.receive();
  epoch_ = hello.epoch();
  return absl::OkStatus();
}

absl::Status Inbound::CheckStep(const v1::Frame& frame) {
  if (!frame.has_step()) return absl::InvalidArgumentError("data: expected a step");
  if (receives_) return absl::InvalidArgumentError("data: a step on a stream for outputs");
  if (frame.step().step_no() == 0 || frame.step().step_no() > last_step_ + 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("data: step ", frame.step().step_no(), ", expected ", last_step_ + 1));
  }
  return absl::OkStatus();
}

void Inbound::Offer(v1::Step step) {
  if (listener_.OnStep(*this, step) != HopSession::Verdict::kHold) return;
  held_ = std::move(step);
  stream_->SetReading(false);
}

void Inbound::Retry() {
  if (!admitted_ || !held_.has_value()) return;
  v1::Step step = std::move(*held_);
  held_.reset();
  Offer(std::move(step));
  if (!held_.has_value() && !finished_) stream_->SetReading(true);
}

void Inbound::Admit() {
  if (std::exchange(admitted_, true)) return;
  if (!held_.has_value()) stream_->SetReading(true);
}

void Inbound::Expel() {
  admitted_ = false;
  stream_->SetReading(false);
}

void Inbound::Finish(const absl::Status& status) {
  if (std::exchange(finished_, true)) return;
  admitted_ = false;
  held_.reset();
  stream_->SetReading(false);
  stream_->Finish(status);
}

void Inbound::OnClosed(absl::Status) {
  finished_ = true;
  admitted_ = false;
  listener_.OnInboundEnded(*this);
}

void Inbound::OnDrained() {
  if (!finished_) listener_.OnInboundDrained(*this);
}

}  // namespace fallow
