// The client's end of one hop of a chain: its control stream and what was learned through it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/blame.h"
#include "client/replay.h"
#include "swarm/route.h"
#include "wire/transport.h"

namespace fallow {

class HopLink;

// Told of what comes from a hop, on the chain's loop.
class HopListener {
 public:
  virtual ~HopListener() = default;
  virtual void OnOpened(HopLink& hop) = 0;
  virtual void OnTokens(HopLink& hop, const v1::Tokens& tokens) = 0;
  virtual void OnReceipt(HopLink& hop, const std::string& receipt) = 0;
  virtual void OnDrain(HopLink& hop, absl::Duration deadline) = 0;
  virtual void OnBeat(HopLink& hop) = 0;
  // The hop says what is wrong; `about` is another peer that it holds responsible, or empty.
  virtual void OnError(HopLink& hop, absl::Status status, const PeerId& about) = 0;
  virtual void OnBroken(HopLink& hop, absl::Status status) = 0;  // the stream, not by us
};

class HopLink : private ControlClient::Handler {
 public:
  // Dials. `transport`, `loop` and `listener` must outlive the link.
  HopLink(const RouteStop& stop, Transport& transport, Loop& loop, HopListener& listener);

  const RouteStop& stop() const { return stop_; }
  const PeerId& peer() const { return stop_.address.peer; }

  // Has the hop free the session; from now on nothing is told to the listener. The hop is still
  // told if the link goes at once.
  void Close();

  // Dials again after the stream broke; the session may still be held there.
  void Redial();
  bool broken() const { return stream_ == nullptr; }

  // Sends Open; all but the first as resumptions.
  void Open(v1::Open open);
  bool opened(std::uint32_t epoch) const { return opened_epoch_ == epoch; }

  void Send(v1::ControlUp message);
  void AskBeat();

  // The state of a sequence as Opened told it; nothing held if it did not name it.
  HopState state(std::size_t sequence) const;
  std::uint32_t started_epoch() const { return started_epoch_; }

  const HopReport& report() const { return report_; }
  // The hop's time for a token after the prompt; if there was none, for a row of the prompt.
  absl::Duration computing_per_token() const { return computing_per_token_; }

 private:
  void OnMessage(v1::ControlDown message) override;
  void OnClosed(absl::Status status) override;
  void TakeOpened(const v1::Opened& opened);
  void TakeBeat(const v1::Beat& beat);

  const RouteStop stop_;
  Transport& transport_;
  Loop& loop_;
  HopListener& listener_;
  std::unique_ptr<ControlClient> stream_;  // null: broken

  bool silent_ = false;
  bool holds_session_ = false;
  std::uint32_t asked_epoch_ = 0;  // of the last Open
  std::uint32_t opened_epoch_ = 0;
  std::uint32_t started_epoch_ = 0;
  std::vector<HopState> states_;
  std::uint64_t beat_nonce_ = 0;
  HopReport report_;
  absl::Duration computing_per_token_;
};

}  // namespace fallow
