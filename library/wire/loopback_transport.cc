#include "wire/loopback_transport.h"

#include <algorithm>
#include <cassert>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/thread_loop.h"
#include "wire/loopback_link.h"

namespace fallow {
namespace {

using Side = LoopbackLink::Side;

template <class Out, class In>
class LoopbackStream final : public Stream<Out, In>, private LoopbackLink::Receiver {
 public:
  using Handler = typename Stream<Out, In>::Handler;

  LoopbackStream(std::shared_ptr<LoopbackLink> link, Side side)
      : link_(std::move(link)), side_(side) {}
  ~LoopbackStream() override { link_->Release(side_); }

  void Start(Handler& handler) override {
    handler_ = &handler;
    link_->Start(side_, *this);
  }
  void Write(Out message) override {
    link_->Send(side_, std::make_unique<Out>(std::move(message)));
  }
  std::size_t queued_bytes() const override { return link_->QueuedBytes(side_); }
  void SetReading(bool on) override { link_->SetReading(side_, on); }
  void Finish(absl::Status status) override { link_->Finish(side_, std::move(status)); }

 private:
  void OnMessage(AnyMessage message) override {
    handler_->OnMessage(std::move(static_cast<In&>(*message)));
  }
  void OnClosed(absl::Status status) override { handler_->OnClosed(std::move(status)); }
  void OnDrained() override { handler_->OnDrained(); }

  const std::shared_ptr<LoopbackLink> link_;
  const Side side_;
  Handler* handler_ = nullptr;
};

using LoopbackData = LoopbackStream<v1::Frame, v1::Frame>;
using LoopbackControlClient = LoopbackStream<v1::ControlUp, v1::ControlDown>;
using LoopbackControlServer = LoopbackStream<v1::ControlDown, v1::ControlUp>;

enum class StreamKind { kControl, kData };

class LoopbackListener final : public Listener {
 public:
  LoopbackListener(std::shared_ptr<LoopbackState> state, std::shared_ptr<LoopbackPort> port,
                   std::string host_port)
      : state_(std::move(state)), port_(std::move(port)), host_port_(std::move(host_port)) {}

  ~LoopbackListener() override {
    absl::MutexLock lock(&state_->mutex);
    port_->open = false;
    if (const auto found = state_->ports.find(host_port_);
        found != state_->ports.end() && found->second == port_) {
      state_->ports.erase(found);
    }
    for (const auto& link : state_->Links()) {
      if (link->port() != port_.get()) {
        continue;
      }
      link->Break(Side::kClient, absl::UnavailableError("the peer stopped listening"));
      link->Break(Side::kServer, absl::UnavailableError("the listener was closed"));
      if (!link->accepted()) {
        link->Forget(Side::kServer);
      }
    }
    state_->mutex.Await(absl::Condition(
        +[](LoopbackPort* port) { return port->calls == 0; }, port_.get()));
  }

  std::string host_port() const override { return host_port_; }

 private:
  const std::shared_ptr<LoopbackState> state_;
  const std::shared_ptr<LoopbackPort> port_;
  const std::string host_port_;
};

// Calls `function` with the acceptor, which stays meanwhile. Does nothing if the port is closed.
template <class Function>
void WithAcceptor(LoopbackState& state, LoopbackPort& port, Function function) {
  {
    absl::MutexLock lock(&state.mutex);
    if (!port.open || port.peer->dead) {
      return;
    }
    ++port.calls;
  }
  function(*port.acceptor);
  absl::MutexLock lock(&state.mutex);
  --port.calls;
}

// One question and its answer, or the reason why there is none. The asking loop holds it in a
// timer: once that is gone, the loop may be gone too.
class InfoCall {
 public:
  InfoCall(std::shared_ptr<LoopbackState> state, Loop& loop, Transport::InfoDone done)
      : state_(std::move(state)), loop_(&loop), done_(std::move(done)) {}

  // On the loop.
  void Done(absl::StatusOr<v1::InfoReply> reply) {
    if (!std::exchange(over_, true)) {
      std::move(done_)(std::move(reply));
    }
  }

  void LoopIsGone() {
    absl::MutexLock lock(&state_->mutex);
    loop_ = nullptr;
  }

  // Calls Done on the loop, `delay` from now.
  static void Answer(const std::shared_ptr<InfoCall>& call, absl::Duration delay,
                     absl::StatusOr<v1::InfoReply> reply) {
    absl::MutexLock lock(&call->state_->mutex);
    if (call->loop_ != nullptr) {
      call->loop_->After(
          delay, [call, reply = std::move(reply)]() mutable { call->Done(std::move(reply)); });
    }
  }

 private:
  const std::shared_ptr<LoopbackState> state_;
  Loop* loop_;  // guarded by state_->mutex; null: gone
  Transport::InfoDone done_;
  bool over_ = false;
};

class LoopbackTransport final : public Transport {
 public:
  LoopbackTransport(std::shared_ptr<LoopbackState> state, std::shared_ptr<LoopbackPeer> self)
      : state_(std::move(state)), self_(std::move(self)) {}

  std::unique_ptr<Loop> NewLoop(const std::string& name) override {
    if (state_->options.time != nullptr) {
      return state_->options.time->NewLoop(self_->id.ToString());
    }
    return std::make_unique<ThreadLoop>(name);
  }

  std::unique_ptr<Loop> NewLoopBeside(Loop& /*other*/, const std::string& name) override {
    return NewLoop(name);
  }

  absl::StatusOr<std::unique_ptr<Listener>> Listen(const std::string& listen, Acceptor& acceptor,
                                                   Loop& control, Loop& data) override;

  std::unique_ptr<ControlClient> OpenControl(const PeerAddress& peer, Loop& loop) override {
    return std::make_unique<LoopbackControlClient>(Open(peer, loop, StreamKind::kControl),
                                                   Side::kClient);
  }

  std::unique_ptr<DataStream> OpenData(const PeerAddress& peer, Loop& loop) override {
    return std::make_unique<LoopbackData>(Open(peer, loop, StreamKind::kData), Side::kClient);
  }

  void Info(const PeerAddress& peer, absl::Duration timeout, Loop& loop, InfoDone done) override;

 private:
  std::shared_ptr<LoopbackLink> Open(const PeerAddress& peer, Loop& loop, StreamKind kind);
  absl::StatusOr<std::shared_ptr<LoopbackPort>> FindPort(const PeerAddress& peer) const;
  static void Accept(const std::shared_ptr<LoopbackState>& state,
                     const std::shared_ptr<LoopbackPort>& port,
                     const std::shared_ptr<LoopbackLink>& link, StreamKind kind);
  static void AskAcceptor(const std::shared_ptr<LoopbackState>& state,
                          const std::shared_ptr<LoopbackPort>& port, const PeerId& asker,
                          const std::shared_ptr<InfoCall>& call);

  const std::shared_ptr<LoopbackState> state_;
  const std::shared_ptr<LoopbackPeer> self_;
};

absl::StatusOr<std::unique_ptr<Listener>> LoopbackTransport::Listen(const std::string& listen,
                                                                    Acceptor& acceptor,
                                                                    Loop& control, Loop& data) {
  const std::size_t colon = listen.rfind(':');
  if (colon == std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("listen '", listen, "', expected host:port"));
  }
  absl::MutexLock lock(&state_->mutex);
  std::string host_port = listen;
  if (listen.substr(colon) == ":0") {
    do {
      host_port = absl::StrCat(listen.substr(0, colon), ":", ++state_->last_port);
    } while (state_->ports.count(host_port) > 0);
  }
  auto port = std::make_shared<LoopbackPort>(
      LoopbackPort{.peer = self_, .acceptor = &acceptor, .control = &control, .data = &data});
  if (!state_->ports.emplace(host_port, port).second) {
    return absl::UnavailableError(absl::StrCat(listen, " is taken"));
  }
  return std::make_unique<LoopbackListener>(state_, std::move(port), std::move(host_port));
}

// Where `peer` listens. With the lock.
absl::StatusOr<std::shared_ptr<LoopbackPort>> LoopbackTransport::FindPort(
    const PeerAddress& peer) const {
  const auto found = state_->ports.find(peer.HostPort());
  if (found == state_->ports.end()) {
    return absl::UnavailableError(absl::StrCat(peer.HostPort(), ": nobody listens"));
  }
  const PeerId& there = found->second->peer->id;
  if (state_->IsCut(self_->id, there)) {
    return absl::UnavailableError(absl::StrCat(peer.HostPort(), ": unreachable"));
  }
  if (!peer.peer.empty() && peer.peer != there) {
    return absl::PermissionDeniedError(absl::StrCat(peer.HostPort(), ": peer ", there.ToString(),
                                                    ", expected ", peer.peer.ToString()));
  }
  return found->second;
}

std::shared_ptr<LoopbackLink> LoopbackTransport::Open(const PeerAddress& peer, Loop& loop,
                                                      StreamKind kind) {
  auto link = std::make_shared<LoopbackLink>(state_, self_, loop);
  absl::MutexLock lock(&state_->mutex);
  if (self_->dead) {
    return link;
  }
  auto port = FindPort(peer);
  if (!port.ok()) {
    link->BreakAfter(Side::kClient, state_->Delay(self_->id, peer.peer, 0), port.status());
    return link;
  }
  Loop& acceptor_loop = kind == StreamKind::kControl ? *(*port)->control : *(*port)->data;
  const PeerId& there = (*port)->peer->id;
  link->Attach(*port, acceptor_loop);
  state_->links.push_back(link);
  if (!state_->Drops(self_->id, there)) {
    acceptor_loop.After(
        state_->Delay(self_->id, there, 0),
        [state = state_, port = *port, link, kind] { Accept(state, port, link, kind); });
  }
  return link;
}

void LoopbackTransport::Accept(const std::shared_ptr<LoopbackState>& state,
                               const std::shared_ptr<LoopbackPort>& port,
                               const std::shared_ptr<LoopbackLink>& link, StreamKind kind) {
  PeerId remote;
  {
    absl::MutexLock lock(&state->mutex);
    if (!port->open || port->peer->dead || link->broken(Side::kServer)) {
      return;
    }
    link->set_accepted();
    remote = link->peer(Side::kClient)->id;
  }
  WithAcceptor(*state, *port, [&](Acceptor& acceptor) {
    if (kind == StreamKind::kControl) {
      acceptor.OnControl(remote, std::make_unique<LoopbackControlServer>(link, Side::kServer));
    } else {
      acceptor.OnData(remote, std::make_unique<LoopbackData>(link, Side::kServer));
    }
  });
}

void LoopbackTransport::Info(const PeerAddress& peer, absl::Duration timeout, Loop& loop,
                             InfoDone done) {
  auto call = std::make_shared<InfoCall>(state_, loop, std::move(done));
  absl::Cleanup gone = [call] { call->LoopIsGone(); };
  loop.After(timeout, [call, gone = std::move(gone)] {
    call->Done(absl::DeadlineExceededError("no answer to Info"));
  });

  std::shared_ptr<LoopbackPort> port;
  absl::Duration delay;
  absl::Status refusal;
  {
    absl::MutexLock lock(&state_->mutex);
    auto found = FindPort(peer);
    delay = state_->Delay(self_->id, found.ok() ? (*found)->peer->id : peer.peer, 0);
    if (!found.ok()) {
      refusal = found.status();
    } else if (!self_->dead && !state_->Drops(self_->id, (*found)->peer->id)) {
      port = *std::move(found);
      port->control->After(delay, [state = state_, port, asker = self_->id, call] {
        AskAcceptor(state, port, asker, call);
      });
    }
  }
  if (!refusal.ok()) {
    InfoCall::Answer(call, delay, refusal);
  }
}

void LoopbackTransport::AskAcceptor(const std::shared_ptr<LoopbackState>& state,
                                    const std::shared_ptr<LoopbackPort>& port, const PeerId& asker,
                                    const std::shared_ptr<InfoCall>& call) {
  WithAcceptor(*state, *port, [&](Acceptor& acceptor) {
    v1::InfoReply reply = acceptor.OnInfo(asker);
    const PeerId& self = port->peer->id;
    const bool lost = [&] {
      absl::MutexLock lock(&state->mutex);
      return state->Drops(self, asker) || state->IsCut(self, asker);
    }();
    if (!lost) {
      InfoCall::Answer(call, state->Delay(self, asker, reply.ByteSizeLong()), std::move(reply));
    }
  });
}

}  // namespace

LoopbackNetwork::LoopbackNetwork(LoopbackOptions options)
    : state_(std::make_shared<LoopbackState>(std::move(options))) {}

LoopbackNetwork::~LoopbackNetwork() = default;

std::unique_ptr<Transport> LoopbackNetwork::Attach(const PeerId& peer) {
  auto self = std::make_shared<LoopbackPeer>(LoopbackPeer{.id = peer});
  absl::MutexLock lock(&state_->mutex);
  state_->peers.push_back(self);
  return std::make_unique<LoopbackTransport>(state_, std::move(self));
}

void LoopbackNetwork::Cut(const PeerId& a, const PeerId& b) {
  {
    absl::MutexLock lock(&state_->mutex);
    state_->cuts.insert(std::minmax(a, b));
  }
  BreakStreams(a, b);
}

void LoopbackNetwork::BreakStreams(const PeerId& a, const PeerId& b) {
  absl::MutexLock lock(&state_->mutex);
  for (const auto& link : state_->Links()) {
    if (link->Connects(a, b)) {
      link->Break(Side::kClient, absl::UnavailableError("the connection broke"));
      link->Break(Side::kServer, absl::UnavailableError("the connection broke"));
    }
  }
}

void LoopbackNetwork::SilentlyDrop(const PeerId& from, const PeerId& to) {
  absl::MutexLock lock(&state_->mutex);
  state_->drops.insert({from, to});
}

void LoopbackNetwork::Heal(const PeerId& a, const PeerId& b) {
  absl::MutexLock lock(&state_->mutex);
  state_->cuts.erase(std::minmax(a, b));
  state_->drops.erase({a, b});
  state_->drops.erase({b, a});
}

void LoopbackNetwork::Kill(const PeerId& peer) {
  {
    absl::MutexLock lock(&state_->mutex);
    for (const auto& life : state_->peers) {
      life->dead = life->dead || life->id == peer;
    }
    std::erase_if(state_->ports, [](const auto& port) { return port.second->peer->dead; });
    for (const auto& link : state_->Links()) {
      for (const auto& [side, other] :
           {std::pair(Side::kClient, Side::kServer), std::pair(Side::kServer, Side::kClient)}) {
        if (link->peer(side) != nullptr && link->peer(side)->dead) {
          link->Break(other, absl::UnavailableError("the peer died"));
        }
      }
    }
  }
  if (state_->options.time != nullptr) {
    state_->options.time->Kill(peer.ToString());
  }
}

void LoopbackNetwork::Freeze(const PeerId& peer) {
  assert(state_->options.time != nullptr);
  state_->options.time->Freeze(peer.ToString());
}

void LoopbackNetwork::Thaw(const PeerId& peer) {
  assert(state_->options.time != nullptr);
  state_->options.time->Thaw(peer.ToString());
}

void LoopbackNetwork::SetHook(const PeerId& from, const PeerId& to, std::string type,
                              AnyHook hook) {
  absl::MutexLock lock(&state_->mutex);
  if (hook) {
    state_->hooks[{from, to, type}] = std::move(hook);
  } else {
    state_->hooks.erase({from, to, type});
  }
}

}  // namespace fallow
