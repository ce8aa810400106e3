// What loopback transports share: the network's state, and links, which are streams without types.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "wire/loopback_transport.h"

namespace fallow {

class LoopbackLink;
using AnyMessage = std::unique_ptr<google::protobuf::MessageLite>;

// All fields of these structs but `options`, and all state of links, are guarded by
// LoopbackState::mutex.

// One life of a peer.
struct LoopbackPeer {
  PeerId id;
  bool dead = false;
};

struct LoopbackPort {
  std::shared_ptr<LoopbackPeer> peer;
  Acceptor* acceptor = nullptr;
  Loop* control = nullptr;
  Loop* data = nullptr;
  bool open = true;
  int calls = 0;  // while any, neither acceptor nor loops may go
};

struct LoopbackState {
  explicit LoopbackState(LoopbackOptions options) : options(std::move(options)) {}

  using PeerPair = std::pair<PeerId, PeerId>;
  using Hook = std::function<void(std::vector<AnyMessage>&)>;

  bool IsCut(const PeerId& a, const PeerId& b) const;
  bool Drops(const PeerId& from, const PeerId& to) const;
  absl::Duration Delay(const PeerId& from, const PeerId& to, std::size_t bytes) const;
  // Those that still exist.
  std::vector<std::shared_ptr<LoopbackLink>> Links();

  const LoopbackOptions options;
  absl::Mutex mutex;
  std::set<PeerPair> cuts;   // the smaller id first
  std::set<PeerPair> drops;  // from, to
  std::map<std::tuple<PeerId, PeerId, std::string>, Hook> hooks;
  std::map<std::string, std::shared_ptr<LoopbackPort>> ports;
  std::vector<std::shared_ptr<LoopbackPeer>> peers;
  std::vector<std::weak_ptr<LoopbackLink>> links;
  int last_port = 0;
};

// Two ends, each on its loop, and what is on its way between them. An end without a loop gets
// nothing: its stream is gone, or its peer was never reached.
class LoopbackLink : public std::enable_shared_from_this<LoopbackLink> {
 public:
  enum Side { kClient = 0, kServer = 1 };

  // The typed stream at an end. Called on the end's loop, without the lock.
  class Receiver {
   public:
    virtual ~Receiver() = default;
    virtual void OnMessage(AnyMessage message) = 0;
    virtual void OnClosed(absl::Status status) = 0;
    virtual void OnDrained() = 0;
  };

  LoopbackLink(std::shared_ptr<LoopbackState> state, std::shared_ptr<LoopbackPeer> client,
               Loop& loop);

  // What streams do. `side` is the caller's.
  void Start(Side side, Receiver& receiver);
  void Send(Side side, AnyMessage message);
  std::size_t QueuedBytes(Side side) const;
  void SetReading(Side side, bool on);
  void Finish(Side side, absl::Status status);
  void Release(Side side);

  // The rest is called with the lock.
  void Attach(std::shared_ptr<LoopbackPort> port, Loop& loop);
  void Break(Side side, absl::Status status);
  void BreakAfter(Side side, absl::Duration delay, absl::Status status);
  void Forget(Side side) { ends_[side].loop = nullptr; }
  bool broken(Side side) const { return ends_[side].broken.has_value(); }
  bool accepted() const { return accepted_; }
  void set_accepted() { accepted_ = true; }
  const LoopbackPort* port() const { return port_.get(); }
  const LoopbackPeer* peer(Side side) const { return ends_[side].peer.get(); }
  bool Connects(const PeerId& a, const PeerId& b) const;

 private:
  struct Item {
    absl::Time due = {};
    AnyMessage message = nullptr;  // null: the other side finished, with `status`
    absl::Status status = {};
    std::size_t bytes = 0;
  };

  struct End {
    std::shared_ptr<LoopbackPeer> peer;  // null: nobody is there
    Loop* loop = nullptr;
    Receiver* receiver = nullptr;
    bool reading = true;
    bool finished = false;  // it sends no more
    bool closed = false;    // its handler is not called any more
    bool scheduled = false;
    std::optional<absl::Status> broken;
    std::deque<Item> inbox;
    std::size_t queued_bytes = 0;
  };

  static Side Other(Side side) { return side == kClient ? kServer : kClient; }
  bool Reaches(Side from) const;
  void ApplyHook(Side from, std::vector<AnyMessage>& messages);
  void Enqueue(Side from, Item item);
  void Schedule(Side side, absl::Duration delay);
  void ScheduleNow(Side side);
  void ScheduleDrained(Side side);
  std::optional<Item> TakeItem(Side side);
  void Deliver(Side side);
  void Drained(Side side);

  const std::shared_ptr<LoopbackState> state_;
  // Guarded by state_->mutex.
  std::array<End, 2> ends_;
  std::shared_ptr<LoopbackPort> port_;
  bool accepted_ = false;
};

}  // namespace fallow
