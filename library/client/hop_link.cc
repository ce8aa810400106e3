#include "client/hop_link.h"

#include <algorithm>
#include <utility>

namespace fallow {
namespace {

absl::Duration PerRow(std::uint64_t microseconds, std::uint64_t rows) {
  return absl::Microseconds(static_cast<double>(microseconds) /
                            static_cast<double>(std::max<std::uint64_t>(1, rows)));
}

}  // namespace

HopLink::HopLink(const RouteStop& stop, Transport& transport, Loop& loop, HopListener& listener)
    : stop_(stop), transport_(transport), loop_(loop), listener_(listener) {
  Redial();
}

void HopLink::Redial() {
  stream_ = transport_.OpenControl(stop_.address, loop_);
  stream_->Start(*this);
}

void HopLink::Open(v1::Open open) {
  asked_epoch_ = open.epoch();
  open.set_resume(holds_session_);
  holds_session_ = true;  // if it is not so, the hop answers Aborted
  v1::ControlUp message;
  *message.mutable_open() = std::move(open);
  Send(std::move(message));
}

void HopLink::Send(v1::ControlUp message) {
  if (stream_ != nullptr) stream_->Write(std::move(message));
}

void HopLink::Close() {
  silent_ = true;
  if (stream_ == nullptr) return;
  v1::ControlUp message;
  message.mutable_close();
  stream_->Write(std::move(message));
  stream_->Finish(absl::OkStatus());  // or what is queued would go with the stream
}

void HopLink::AskBeat() {
  report_.answered = false;
  v1::ControlUp message;
  message.mutable_beat()->set_nonce(++beat_nonce_);
  Send(std::move(message));
}

HopState HopLink::state(std::size_t sequence) const {
  return sequence < states_.size() ? states_[sequence] : HopState{};
}

void HopLink::OnMessage(v1::ControlDown message) {
  if (silent_) return;
  switch (message.kind_case()) {
    case v1::ControlDown::kOpened:
      return TakeOpened(message.opened());
    case v1::ControlDown::kTokens:
      return listener_.OnTokens(*this, message.tokens());
    case v1::ControlDown::kReceipt:
      return listener_.OnReceipt(*this, message.receipt().receipt());
    case v1::ControlDown::kDrain:
      return listener_.OnDrain(*this, absl::Milliseconds(message.drain().deadline_ms()));
    case v1::ControlDown::kBeat:
      return TakeBeat(message.beat());
    case v1::ControlDown::kError: {
      const v1::Error& error = message.error();
      if (error.epoch() != 0 && error.epoch() < asked_epoch_) return;  // of a route that is no more
      PeerId about;
      if (error.about_peer().size() == about.bytes.size()) {
        std::copy(error.about_peer().begin(), error.about_peer().end(), about.bytes.begin());
      }
      return listener_.OnError(
          *this, absl::Status(static_cast<absl::StatusCode>(error.code()), error.message()), about);
    }
    case v1::ControlDown::KIND_NOT_SET:
      return;  // of a later version
  }
}

void HopLink::OnClosed(absl::Status status) {
  // Not in the stream's own callback.
  loop_.Post([stream = std::move(stream_)] {});
  if (silent_) return;
  if (status.ok()) status = absl::UnavailableError("the hop ended the session");
  listener_.OnBroken(*this, std::move(status));
}

void HopLink::TakeOpened(const v1::Opened& opened) {
  opened_epoch_ = opened.epoch();
  started_epoch_ = opened.started();
  states_.clear();
  for (const v1::SequenceState& state : opened.sequences()) {
    states_.push_back({.held = state.kv_len(),
                       .outbox_begin = state.outbox_begin(),
                       .shared = std::min(state.shared(), state.kv_len())});
  }
  report_ = {};
  listener_.OnOpened(*this);
}

void HopLink::TakeBeat(const v1::Beat& beat) {
  if (beat.nonce() != beat_nonce_) return;  // of an earlier question
  report_ = {.answered = true,
             .rows_received = beat.rows_received(),
             .rows_done = beat.rows_done(),
             .rows_unsent = beat.rows_unsent()};
  computing_per_token_ = beat.steps() > 0 ? PerRow(beat.steps_us(), beat.steps())
                                          : PerRow(beat.computing_us(), beat.rows_done());
  listener_.OnBeat(*this);
}

}  // namespace fallow
