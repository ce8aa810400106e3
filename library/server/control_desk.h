// The half of a hop that lives on the control loop: it answers Info and Beat at once, whatever the
// data loop is computing, and hands all else over to it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "fallow/gate.h"
#include "fallow/peer.h"
#include "server/counters.h"
#include "server/limits.h"
#include "wire/transport.h"

namespace fallow {

class ControlDesk;

// A client's control stream. Lives until both loops have let it go.
class ControlLink : private ControlServer::Handler,
                    public std::enable_shared_from_this<ControlLink> {
 public:
  ControlLink(ControlDesk& desk, const PeerId& remote, std::unique_ptr<ControlServer> stream);

  const PeerId& remote() const { return remote_; }
  SessionCounters& counters() { return counters_; }

  // From any thread. Breaks the stream if the client does not read.
  void Send(v1::ControlDown message);
  void SendError(const absl::Status& status, const PeerId& about, std::uint32_t epoch);

  // Ends the stream after what was sent; the client is not listened to any more. From any thread.
  void Finish(absl::Status status);

 private:
  friend class ControlDesk;
  void OnMessage(v1::ControlUp message) override;
  void OnClosed(absl::Status status) override;
  void AnswerBeat(const v1::Beat& beat);
  void HandOver(v1::ControlUp message);
  void HandedOver(std::int64_t bytes);

  ControlDesk& desk_;
  const PeerId remote_;
  const std::unique_ptr<ControlServer> stream_;
  SessionCounters counters_;
  // On the control loop:
  bool opened_ = false;      // the client has sent Open
  bool finished_ = false;    // by us
  std::int64_t unread_ = 0;  // bytes that the data loop has not looked at yet
};

// Told, on the data loop, what clients say.
class ControlListener {
 public:
  virtual ~ControlListener() = default;
  virtual void OnControlMessage(const std::shared_ptr<ControlLink>& link,
                                const v1::ControlUp& message) = 0;
  virtual void OnControlLost(const std::shared_ptr<ControlLink>& link) = 0;
};

class ControlDesk {
 public:
  struct Options {
    v1::InfoReply info;  // all that does not change
    std::int64_t kv_tokens = 0;
    HopLimits limits;
    std::shared_ptr<Gate> gate;  // may be null
  };

  // The loops, counters and the listener outlive the desk, and the desk their tasks.
  ControlDesk(Options options, const HopCounters& counters, ControlListener& listener,
              Loop& control, Loop& data);

  // On the control loop:
  v1::InfoReply Info() const;
  void Accept(const PeerId& remote, std::unique_ptr<ControlServer> stream);
  void Stop() { stopped_ = true; }  // hands nothing over any more
  void BreakAll() { links_.clear(); }

  // From the data loop: the link may go.
  void Release(std::shared_ptr<ControlLink> link);

 private:
  friend class ControlLink;
  void CheckOpened(const std::weak_ptr<ControlLink>& link);
  void Drop(const std::shared_ptr<ControlLink>& link);

  const Options options_;
  const HopCounters& counters_;
  ControlListener& listener_;
  Loop& control_;
  Loop& data_;
  std::set<std::shared_ptr<ControlLink>> links_;
  bool stopped_ = false;
};

}  // namespace fallow
