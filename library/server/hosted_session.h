// A session on a hop with all that belongs to it: streams, timers, measures.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "server/control_desk.h"
#include "server/hop_session.h"
#include "server/inbound.h"
#include "server/relay.h"
#include "server/work_meter.h"

namespace fallow {

struct HostedSession;

// What befalls a session outside of the calls that come with it. On the data loop.
class SessionListener {
 public:
  virtual ~SessionListener() = default;
  // A pass has left outputs, or its relay takes more of them.
  virtual void OnOutputs(HostedSession& session) = 0;
  // It cannot go on until its client reopens it. `about`: the peer at fault, if another.
  virtual void OnSessionFailed(HostedSession& session, const absl::Status& status,
                               const PeerId& about) = 0;
  // No pass can be computed here any more.
  virtual void OnDeviceFailed(const absl::Status& status) = 0;
};

struct HostedSession : private RelayListener {
  HostedSession(std::unique_ptr<HopSession> new_state, const PeerId& client, Transport& transport,
                Loop& data, const HopLimits& limits, SessionListener& session_listener)
      : owner(client),
        state(std::move(new_state)),
        relay(transport, data, limits, *state, *this),
        listener(session_listener) {}

  // The next pass may take its rows.
  bool MayCompute() const {
    return link != nullptr && state->computes() &&
           (state->request().samples() || !state->HasUnsent());
  }

  const SessionId& id() const { return state->request().session; }

  const PeerId owner;
  const std::unique_ptr<HopSession> state;
  Relay relay;
  SessionListener& listener;
  std::optional<WorkMeter> meter;  // if there is a gate

  std::shared_ptr<ControlLink> link;  // null: its client is gone, and its grace runs
  std::vector<Inbound*> inbound;      // admitted; oldest first
  absl::Time lost_at;                 // when the link was
  absl::Time last_step;
  Loop::TimerId grace_timer = 0;
  Loop::TimerId idle_timer = 0;

 private:
  void OnRelayReady() override { listener.OnOutputs(*this); }
  void OnRelayFailed(absl::Status status, const PeerId& next) override {
    listener.OnSessionFailed(*this, status, next);
  }
};

}  // namespace fallow
