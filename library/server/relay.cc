#include "server/relay.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace fallow {

Relay::Relay(Transport& transport, Loop& data, const HopLimits& limits, HopSession& session,
             RelayListener& listener)
    : transport_(transport), data_(data), limits_(limits), session_(session), listener_(listener) {}

Relay::~Relay() = default;

bool Relay::IsConnectedTo(const RoutedHop& next) const {
  return dialled_ != nullptr && next_.peer == next.peer && next_.addresses == next.addresses &&
         SameSecret(secret_, session_.request().secret);
}

void Relay::Connect() {
  const OpenRequest& request = session_.request();
  early_ids_.clear();
  const bool alone = request.route.size() == 1;
  if (alone || (!request.ring && request.last())) return;
  if (IsConnectedTo(request.next())) return;
  next_ = request.next();
  secret_ = request.secret;
  address_ = 0;
  Dial();
}

void Relay::Dial() {
  Disconnect();
  dialled_ = transport_.OpenData(next_.addresses[address_], data_);
  UseStream(dialled_.get());
  connected_ = false;
  dialled_->Start(*this);
  v1::Frame frame;
  const SessionId& id = session_.request().session;
  frame.mutable_hello()->set_session(id.data(), id.size());
  frame.mutable_hello()->set_secret(secret_.data(), secret_.size());
  dialled_->Write(std::move(frame));
}

// At once: the end of this stream must not be taken for that of the next.
void Relay::Disconnect() {
  UseStream(nullptr);
  dialled_.reset();
}

void Relay::UseStream(DataStream* stream) {
  out_ = stream;
  last_step_ = 0;
  connected_ = stream != nullptr;
}

bool Relay::TakesMore() const {
  return connected_ && static_cast<std::int64_t>(out_->queued_bytes()) < limits_.max_unsent;
}

v1::Step Relay::NewStep() {
  v1::Step step;
  step.set_step_no(++last_step_);
  step.set_epoch(session_.epoch());
  used_epoch_ = session_.epoch();
  return step;
}

void Relay::Write(v1::Step step) {
  v1::Frame frame;
  *frame.mutable_step() = std::move(step);
  out_->Write(std::move(frame));
}

std::int64_t Relay::SendRows() {
  if (session_.request().samples()) return 0;  // it sends ids
  if (!session_.computes()) return 0;          // Start says from where on
  std::int64_t fresh = 0;
  while (session_.HasUnsent() && TakesMore()) {
    v1::Step step = NewStep();
    for (int i = 0; i < session_.sequences(); ++i) {
      const auto used = static_cast<std::int64_t>(step.rows().size());
      fresh += AddRows(i, kMaxStepBytes - used, step);
    }
    Write(std::move(step));
  }
  return fresh;
}

std::int64_t Relay::HeldUp() const {
  if (session_.request().samples()) return 0;  // they wait to be sampled from
  std::int64_t rows = 0;
  for (int i = 0; i < session_.sequences(); ++i) {
    rows += std::max<std::int64_t>(0, session_.outbox(i).end() - session_.sent(i));
  }
  return rows;
}

// Adds a sequence's unsent rows that fit into `room` bytes; one always fits into an empty step.
std::int64_t Relay::AddRows(int sequence, std::int64_t room, v1::Step& step) {
  if (!session_.HasUnsent(sequence)) return 0;
  const Outbox& outbox = session_.outbox(sequence);
  const std::int64_t position = session_.sent(sequence);
  const auto row_bytes = static_cast<std::int64_t>(outbox.Row(position).size());
  std::int64_t rows = std::min(outbox.end() - position, room / row_bytes);
  if (rows < 1 && step.runs_size() == 0) rows = 1;
  if (rows < 1) return 0;
  for (std::int64_t i = 0; i < rows; ++i) {
    step.mutable_rows()->append(outbox.Row(position + i));
  }
  v1::Run& run = *step.add_runs();
  run.set_sequence(static_cast<std::uint32_t>(sequence));
  run.set_position(static_cast<std::uint32_t>(position));
  run.set_count(static_cast<std::uint32_t>(rows));
  return session_.Sent(sequence, rows);
}

void Relay::SendIds(const std::vector<IdRow>& rows) {
  if (rows.empty()) return;
  if (!connected_) {
    early_ids_.insert(early_ids_.end(), rows.begin(), rows.end());
    return;
  }
  v1::Step step = NewStep();
  for (const IdRow& row : rows) {
    v1::Run& run = *step.add_runs();
    run.set_sequence(row.sequence);
    run.set_position(row.position);
    run.set_count(1);
    step.add_ids(row.id);
  }
  Write(std::move(step));
}

void Relay::OnMessage(v1::Frame) {
  Disconnect();
  listener_.OnRelayFailed(
      absl::InvalidArgumentError("relay: the next hop sent a frame against the stream"),
      next_.peer);
}

void Relay::OnClosed(absl::Status status) {
  const bool was_connected = connected_;
  Disconnect();
  if (!was_connected && ++address_ < next_.addresses.size()) return Dial();
  // A stream that broke before this epoch used it has lost nothing that anybody waits for.
  const std::uint32_t epoch = session_.epoch();
  if (was_connected && used_epoch_ != epoch && std::exchange(redialled_epoch_, epoch) != epoch) {
    address_ = 0;
    return Dial();
  }
  listener_.OnRelayFailed(absl::UnavailableError(absl::StrCat(
                              "relay: next hop ", next_.peer.ShortString(), ": ",
                              status.ok() ? "ended the stream" : std::string(status.message()))),
                          next_.peer);
}

void Relay::OnDrained() {
  connected_ = true;
  SendIds(std::exchange(early_ids_, {}));
  listener_.OnRelayReady();
}

}  // namespace fallow
