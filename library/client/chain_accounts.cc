// What the hops of a chain are paid, and how long they say they take.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/chain.h"

namespace fallow {
namespace {

constexpr std::uint64_t kVoucherEvery = 32;  // tokens
constexpr std::uint64_t kTimeEvery = 32;     // tokens

}  // namespace

void Chain::PayVouchers() {
  if (options_.payer == nullptr || tokens_ / kVoucherEvery == tokens_paid_ / kVoucherEvery) return;
  tokens_paid_ = tokens_;
  SessionId session{};
  std::copy_n(options_.session.begin(), session.size(), session.begin());
  for (const auto& hop : hops_) {
    auto voucher = options_.payer->MakeVoucher(session, hop->peer(), tokens_);
    if (!voucher.ok()) return Fail(voucher.status());
    if (voucher->empty()) continue;
    v1::ControlUp message;
    message.mutable_ack()->set_epoch(epoch_);
    message.mutable_ack()->set_voucher(*std::move(voucher));
    hop->Send(std::move(message));
  }
}

void Chain::OnReceipt(HopLink& hop, const std::string& receipt) {
  if (options_.payer == nullptr) return;
  SessionId session{};
  std::copy_n(options_.session.begin(), session.size(), session.begin());
  absl::Status status = options_.payer->TakeReceipt(session, hop.peer(), receipt);
  if (status.ok() || state_ == State::kIdle || state_ == State::kFailed) return;
  Replace(hop, absl::StrCat("gave a wrong receipt: ", std::string(status.message())),
          /*at_fault=*/true);
}

void Chain::EndTurn(absl::Duration timeout, OnMeasured done) {
  on_measured_ = std::move(done);
  if (state_ == State::kFailed) return FinishMeasuring();
  state_ = State::kIdle;
  for (const auto& hop : hops_) hop->AskBeat();
  SetTimer(timeout, &Chain::FinishMeasuring);
}

void Chain::FinishMeasuring() {
  if (on_measured_ == nullptr) return;
  Measured measured{.route = MeasuredRoute(), .prompt_rows = prompt_rows_};
  std::exchange(on_measured_, nullptr)(std::move(measured));
}

std::vector<RouteHop> Chain::MeasuredRoute() const {
  std::vector<RouteHop> route;
  for (const auto& hop : hops_) {
    route.push_back(
        {.peer = hop->peer(),
         .address = hop->stop().address.HostPort(),
         .blocks = hop->stop().blocks,
         .milliseconds_per_token = absl::ToDoubleMilliseconds(hop->computing_per_token())});
  }
  return route;
}

void Chain::AskTimes() {
  if (state_ != State::kRunning || tokens_ / kTimeEvery == tokens_timed_ / kTimeEvery) return;
  tokens_timed_ = tokens_;
  for (const auto& hop : hops_) hop->AskBeat();
}

}  // namespace fallow
