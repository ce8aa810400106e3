// One hop: all sessions on this server, and who may open, resume, feed and close them.
//
// Two loops drive it. The control loop answers Info, reads control streams and answers beats; the
// data loop owns the sessions and runs the passes.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "fallow/gate.h"
#include "fallow/peer.h"
#include "server/control_desk.h"
#include "server/counters.h"
#include "server/hosted_session.h"
#include "server/inbound.h"
#include "server/kept_beginnings.h"
#include "server/scheduler.h"
#include "server/served_model.h"
#include "wire/transport.h"

namespace fallow {

class Hop : public Acceptor,
            private ControlListener,
            private InboundListener,
            private SessionListener {
 public:
  struct Options {
    ServedModel model;
    PeerId self;  // empty where peers are not identified
    HopLimits limits;
    std::shared_ptr<Gate> gate;  // may be null
  };

  // Transport and loops are borrowed. The loops go before the hop, so that no task of theirs finds
  // it gone.
  Hop(Options options, Transport& transport, Loop& control, Loop& data);
  ~Hop() override;

  // From any thread.
  const HopCounters& counters() const { return counters_; }

  v1::InfoReply OnInfo(const PeerId& remote) override;
  void OnControl(const PeerId& remote, std::unique_ptr<ControlServer> stream) override;
  void OnData(const PeerId& remote, std::unique_ptr<DataStream> stream) override;

  // Takes no new session and asks the others to move; `emptied` is called once, on the data loop,
  // when they have. On the data loop.
  void Drain(absl::Duration deadline, std::function<void()> emptied);

  // Breaks all streams and frees all sessions: the first on the control loop, then the second on
  // the data loop, then the third on the control loop. Nothing happens afterwards.
  void StopListening() { desk_.Stop(); }
  void CloseAll();
  void BreakControls() { desk_.BreakAll(); }

 private:
  // hop_control.cc: what clients say.
  void OnControlMessage(const std::shared_ptr<ControlLink>& link,
                        const v1::ControlUp& message) override;
  void OnControlLost(const std::shared_ptr<ControlLink>& link) override;
  void TakeOpen(const std::shared_ptr<ControlLink>& link, const v1::ControlUp& message);
  absl::StatusOr<HostedSession*> OpenSession(const OpenRequest& request,
                                             const std::shared_ptr<ControlLink>& link,
                                             const std::string& governance);
  absl::Status CheckClient(const OpenRequest& request, const PeerId& client) const;
  absl::StatusOr<HostedSession*> CreateSession(const OpenRequest& request, const PeerId& client);
  absl::Status MakeRoom(const OpenRequest& request);
  void ShareBeginnings(HostedSession& session);
  void KeepBeginnings(const HostedSession& session);
  void Bind(HostedSession& session, const std::shared_ptr<ControlLink>& link);
  void Refuse(const std::shared_ptr<ControlLink>& link, const absl::Status& status,
              std::uint32_t epoch);
  absl::Status TakeStart(HostedSession& session, const v1::Start& start);
  absl::Status TakeAck(HostedSession& session, const v1::Ack& ack);
  HostedSession* FindByLink(const ControlLink& link) const;
  void CheckIdle(HostedSession& session);

  // What comes on data streams.
  void OnHello(Inbound& inbound) override;
  HopSession::Verdict OnStep(Inbound& inbound, const v1::Step& step) override;
  void OnInboundBroke(Inbound& inbound, const absl::Status& status) override;
  void OnInboundEnded(Inbound& inbound) override;
  void OnInboundDrained(Inbound& inbound) override;
  std::size_t max_step_bytes() const;
  bool MaySpeak(const Inbound& inbound, const HostedSession& session) const;
  void AwaitAdmission(Inbound& inbound);
  void Admit(Inbound& inbound, HostedSession& session);
  void Expel(Inbound& inbound);
  void Detach(Inbound& inbound);
  void Drop(Inbound& inbound, const absl::Status& status);
  void ReviewInbound(HostedSession& session);
  void RetryInbound(HostedSession& session);

  void OnOutputs(HostedSession& session) override;
  void OnSessionFailed(HostedSession& session, const absl::Status& status,
                       const PeerId& about) override;
  void OnDeviceFailed(const absl::Status& status) override;
  HostedSession* Find(const SessionId& id) const;
  // Frees it; its client is told `status`.
  void Remove(HostedSession& session, const absl::Status& status);
  void CountSessions();

  const Options options_;
  Transport& transport_;
  Loop& data_;
  HopCounters counters_;
  ControlDesk desk_;

  // Of the data loop:
  HostedSessions sessions_;
  KeptBeginnings kept_;                            // of sessions that are gone
  std::vector<std::unique_ptr<Inbound>> inbound_;  // all data streams that peers have opened
  Scheduler scheduler_;
  std::uint64_t last_inbound_ = 0;
  bool stopped_ = false;
  std::function<void()> emptied_;
};

}  // namespace fallow
