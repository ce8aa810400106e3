// A server on a transport of the caller's choice, such as the loopback within one process.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/loop.h"
#include "fallow/block_server.h"
#include "fallow/peer.h"
#include "server/hop.h"
#include "server/model_host.h"
#include "wire/transport.h"

namespace fallow {

// All that a BlockServer stands on. Not thread-safe.
class LocalServer {
 public:
  enum class Driver {
    kThreads,  // the transport's loops have threads
    kCaller,   // they run on the thread that also calls this class (tests)
  };

  // Loads and listens. Of the options, `identity` and `insecure` are the transport's affair; `self`
  // is empty where it does not identify peers.
  static absl::StatusOr<std::unique_ptr<LocalServer>> Start(const BlockServer::Options& options,
                                                            const PeerId& self,
                                                            std::unique_ptr<Transport> transport,
                                                            Driver driver);
  ~LocalServer();  // halts

  // The façade over a server that runs on threads.
  static std::unique_ptr<BlockServer> Wrap(std::unique_ptr<LocalServer> server);

  const std::string& address() const { return address_; }
  const PeerId& peer() const { return self_; }
  const ServedModel& served() const { return host_->served(); }
  BlockServer::Stats stats() const;

  // Asks all sessions to move away; `emptied` is called on the data loop when they have.
  void Drain(absl::Duration deadline, std::function<void()> emptied);

  // Breaks all streams and ends the loops. What was asked by Drain is answered at the latest now.
  void Halt();

 private:
  LocalServer(const PeerId& self, std::unique_ptr<Transport> transport, Driver driver)
      : self_(self), transport_(std::move(transport)), driver_(driver) {}
  absl::Status Listen(const BlockServer::Options& options);
  // Runs `task` on the loop and returns when it is done.
  void RunOn(Loop& loop, Loop::Task task);

  const PeerId self_;
  const std::unique_ptr<Transport> transport_;
  const Driver driver_;
  std::unique_ptr<ModelHost> host_;
  std::unique_ptr<Hop> hop_;
  std::unique_ptr<Loop> control_;
  std::unique_ptr<Loop> data_;  // null: halted
  std::unique_ptr<Listener> listener_;
  std::string address_;
};

// A server for models that run without peers.
absl::StatusOr<std::unique_ptr<BlockServer>> StartLocalServer(const BlockServer::Options& options,
                                                              const PeerId& self,
                                                              std::unique_ptr<Transport> transport);

}  // namespace fallow
