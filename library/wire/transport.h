// How peers reach each other: streams of protocol messages, over gRPC or within one process.
//
// Everything above this file is written against it alone, so that a whole swarm can run in one test
// thread under a manual clock.
#pragma once

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/loop.h"
#include "fallow/peer.h"
#include "fallow/v1/peer.pb.h"

namespace fallow {

// One end of an ordered, reliable stream that carries `Out` away and `In` here. Bound to one loop,
// on which its handler is called and all methods but Write must be called, the destructor too.
// Destroying it breaks the stream at once, unless it was finished: then what is queued is still
// sent in the background. Either way its handler is not called any more; it may be destroyed within
// a call of its handler.
template <class Out, class In>
class Stream {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnMessage(In message) = 0;
    // The last call: the other side finished (with OK, or the server's status) or the stream broke.
    // Unavailable: dead or unreachable. PermissionDenied: the peer is not who it should be. A
    // server may still write and finish after the client finished.
    virtual void OnClosed(absl::Status status) = 0;
    // All that was written has been handed to the system. Data streams only.
    virtual void OnDrained() {}
  };

  virtual ~Stream() = default;

  // Begins to deliver. `handler` must outlive the stream.
  virtual void Start(Handler& handler) = 0;

  // Queues a message. From any thread. Dropped if the stream is closed.
  virtual void Write(Out message) = 0;

  // Bytes written and not yet handed to the system. From any thread.
  virtual std::size_t queued_bytes() const = 0;

  // While reading is off no message is delivered, and flow control holds the other side back.
  virtual void SetReading(bool on) = 0;

  // Sends what is queued, then ends this direction (client: `status` must be OK) or the stream with
  // `status` (server: its handler is not called any more). What is written later is dropped.
  virtual void Finish(absl::Status status) = 0;
};

using ControlClient = Stream<v1::ControlUp, v1::ControlDown>;  // the opener's end
using ControlServer = Stream<v1::ControlDown, v1::ControlUp>;
using DataStream = Stream<v1::Frame, v1::Frame>;

// What a server does with those who come. `remote` is empty where peers are not identified.
class Acceptor {
 public:
  virtual ~Acceptor() = default;
  virtual v1::InfoReply OnInfo(const PeerId& remote) = 0;  // control loop
  virtual void OnControl(const PeerId& remote,
                         std::unique_ptr<ControlServer> stream) = 0;  // control loop
  virtual void OnData(const PeerId& remote, std::unique_ptr<DataStream> stream) = 0;  // data loop
};

// A listening socket. Destroying it breaks all streams that came through it; the acceptor is not
// called any more. Not from one of its loops.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual std::string host_port() const = 0;  // with the port that was taken
};

class Transport {
 public:
  virtual ~Transport() = default;

  // A loop for streams of this transport, with a thread of its own. Streams must be gone before it.
  virtual std::unique_ptr<Loop> NewLoop(const std::string& name) = 0;

  // A loop, with a thread of its own too, that shares `other`'s connections: as long as `other` has
  // little to do its thread reads for both.
  virtual std::unique_ptr<Loop> NewLoopBeside(Loop& other, const std::string& name) = 0;

  // `listen`: host:port. Unavailable if it is taken. The loops must be of this transport.
  virtual absl::StatusOr<std::unique_ptr<Listener>> Listen(const std::string& listen,
                                                           Acceptor& acceptor, Loop& control,
                                                           Loop& data) = 0;

  // Streams to a peer; failures to connect arrive at OnClosed. `loop` is the stream's.
  virtual std::unique_ptr<ControlClient> OpenControl(const PeerAddress& peer, Loop& loop) = 0;
  virtual std::unique_ptr<DataStream> OpenData(const PeerAddress& peer, Loop& loop) = 0;

  // Calls `done` on `loop`, at the latest after `timeout` (DeadlineExceeded).
  using InfoDone = absl::AnyInvocable<void(absl::StatusOr<v1::InfoReply>) &&>;
  virtual void Info(const PeerAddress& peer, absl::Duration timeout, Loop& loop, InfoDone done) = 0;
};

}  // namespace fallow
