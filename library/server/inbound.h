// A data stream that somebody opened to this hop, from its Hello on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "fallow/gate.h"
#include "fallow/peer.h"
#include "server/hop_session.h"
#include "server/open_request.h"
#include "wire/transport.h"

namespace fallow {

class Inbound;

// Told of what comes, on the data loop.
class InboundListener {
 public:
  virtual ~InboundListener() = default;
  virtual void OnHello(Inbound& inbound) = 0;
  virtual HopSession::Verdict OnStep(Inbound& inbound, const v1::Step& step) = 0;
  // What came breaks a rule.
  virtual void OnInboundBroke(Inbound& inbound, const absl::Status& status) = 0;
  virtual void OnInboundEnded(Inbound& inbound) = 0;  // the last call
  virtual void OnInboundDrained(Inbound& inbound) = 0;
};

// At most one frame is held back: while it is, nothing more is read.
class Inbound : private DataStream::Handler {
 public:
  Inbound(std::uint64_t number, const PeerId& remote, std::unique_ptr<DataStream> stream,
          InboundListener& listener);

  void Start() { stream_->Start(*this); }
  std::uint64_t number() const { return number_; }
  const PeerId& remote() const { return remote_; }
  const SessionId& session() const { return session_; }
  const SessionSecret& secret() const { return secret_; }
  bool receives() const { return receives_; }
  std::uint32_t epoch() const { return epoch_; }  // of its Hello
  DataStream& stream() { return *stream_; }

  // Its Hello was accepted: steps are listened to.
  void Admit();
  bool admitted() const { return admitted_; }
  bool waits() const { return introduced_ && !admitted_ && !finished_; }

  // Its Hello is no longer good; it may be admitted again.
  void Expel();

  // Offers the frame that was held back again, if there is one.
  void Retry();

  // Ends the stream for good; nothing but its end is told any more.
  void Finish(const absl::Status& status);

 private:
  void OnMessage(v1::Frame frame) override;
  void OnClosed(absl::Status status) override;
  void OnDrained() override;
  absl::Status ReadHello(const v1::Hello& hello);
  absl::Status CheckStep(const v1::Frame& frame);
  void Offer(v1::Step step);

  const std::uint64_t number_;
  const PeerId remote_;
  const std::unique_ptr<DataStream> stream_;
  InboundListener& listener_;
  bool introduced_ = false;  // Hello has come
  bool admitted_ = false;
  bool finished_ = false;
  SessionId session_{};
  SessionSecret secret_{};
  bool receives_ = false;
  std::uint32_t epoch_ = 0;
  std::uint64_t last_step_ = 0;
  std::optional<v1::Step> held_;
};

}  // namespace fallow
