// Peers within one process: for tests, which can delay, cut, kill and lie, and for models that run
// without any other machine.
#pragma once

#include <functional>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/manual_loop.h"
#include "fallow/peer.h"
#include "wire/transport.h"

namespace fallow {

struct LoopbackOptions {
  // If set, loops run under this clock instead of on threads. Must outlive the network.
  ManualTime* time = nullptr;
  // How long a message of `bytes` travels. Order is kept whatever it says. None: no time.
  std::function<absl::Duration(const PeerId& from, const PeerId& to, std::size_t bytes)> delay =
      nullptr;
  // Each message becomes bytes on the way, as on a real wire. Off, it is moved.
  bool serialize = true;
};

struct LoopbackState;

// The wires between the peers of one process. Methods may be called from any thread, but under a
// manual clock all belongs to the thread that runs it.
//
// Host and port are names: Listen("loopback:0") takes a free port. A message counts as queued until
// the receiver's handler has it.
class LoopbackNetwork {
 public:
  explicit LoopbackNetwork(LoopbackOptions options = {});
  ~LoopbackNetwork();

  // The transport of one peer, which may outlive the network. A peer that was killed may come back.
  std::unique_ptr<Transport> Attach(const PeerId& peer);

  // Breaks all streams between two peers and refuses new ones until Heal.
  void Cut(const PeerId& a, const PeerId& b);
  // Breaks all streams between two peers, which may reconnect at once.
  void BreakStreams(const PeerId& a, const PeerId& b);
  // From now on nothing that `from` sends reaches `to`, which is not told.
  void SilentlyDrop(const PeerId& from, const PeerId& to);
  // Undoes Cut and SilentlyDrop, in both directions. What was dropped stays lost.
  void Heal(const PeerId& a, const PeerId& b);

  // As if the process of `peer` died: nobody hears from it again, its handlers are not called any
  // more, and its streams break at the other ends. What it had sent is lost. Under a manual clock
  // its loops are killed.
  void Kill(const PeerId& peer);
  // As if it were stopped and went on. Under a manual clock only.
  void Freeze(const PeerId& peer);
  void Thaw(const PeerId& peer);

  // Lets `hook` change, repeat or remove messages from one peer to another: it gets a vector with
  // one, on the sender's thread. An empty hook ends it.
  template <class Message>
  void Alter(const PeerId& from, const PeerId& to,
             std::function<void(std::vector<Message>& messages)> hook);

 private:
  using MessageLite = google::protobuf::MessageLite;
  using AnyHook = std::function<void(std::vector<std::unique_ptr<MessageLite>>&)>;
  void SetHook(const PeerId& from, const PeerId& to, std::string type, AnyHook hook);

  std::shared_ptr<LoopbackState> state_;
};

template <class Message>
void LoopbackNetwork::Alter(const PeerId& from, const PeerId& to,
                            std::function<void(std::vector<Message>& messages)> hook) {
  AnyHook any;
  if (hook) {
    any = [hook = std::move(hook)](std::vector<std::unique_ptr<MessageLite>>& messages) {
      std::vector<Message> typed;
      for (const auto& message : messages) {
        typed.push_back(std::move(static_cast<Message&>(*message)));
      }
      hook(typed);
      messages.clear();
      for (Message& message : typed) {
        messages.push_back(std::make_unique<Message>(std::move(message)));
      }
    };
  }
  SetHook(from, to, Message().GetTypeName(), std::move(any));
}

}  // namespace fallow
