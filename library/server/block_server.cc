#include "fallow/block_server.h"

#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "base/platform/fork.h"
#include "base/status_macros.h"
#include "server/local_server.h"

namespace fallow {

struct BlockServer::Impl {
  explicit Impl(std::unique_ptr<LocalServer> local) : server(std::move(local)) {}

  const ForkGuard guard;
  const std::unique_ptr<LocalServer> server;
  absl::Mutex stopping;  // held by the one who stops it
  absl::Notification stopped;
};

BlockServer::BlockServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

BlockServer::~BlockServer() {
  if (impl_->guard.Check("server").ok()) {
    Stop(absl::ZeroDuration());
  } else {
    impl_.release();  // its threads are the parent's: nothing can be ended or freed here
  }
}

std::unique_ptr<BlockServer> LocalServer::Wrap(std::unique_ptr<LocalServer> server) {
  return std::unique_ptr<BlockServer>(
      new BlockServer(std::make_unique<BlockServer::Impl>(std::move(server))));
}

absl::StatusOr<std::unique_ptr<BlockServer>> StartLocalServer(
    const BlockServer::Options& options, const PeerId& self, std::unique_ptr<Transport> transport) {
  FALLOW_ASSIGN_OR_RETURN(auto server, LocalServer::Start(options, self, std::move(transport),
                                                          LocalServer::Driver::kThreads));
  return LocalServer::Wrap(std::move(server));
}

const std::string& BlockServer::address() const { return impl_->server->address(); }
const PeerId& BlockServer::peer() const { return impl_->server->peer(); }
const ModelSpec& BlockServer::spec() const { return impl_->server->served().spec; }
BlockRange BlockServer::blocks() const { return impl_->server->served().blocks; }
const std::string& BlockServer::numeric_class() const {
  return impl_->server->served().numeric_class;
}
BlockServer::Stats BlockServer::stats() const { return impl_->server->stats(); }

void BlockServer::Stop(absl::Duration deadline) {
  if (!impl_->guard.Check("server").ok()) return;
  absl::MutexLock lock(&impl_->stopping);
  if (impl_->stopped.HasBeenNotified()) return;
  absl::Notification emptied;
  if (deadline > absl::ZeroDuration()) {
    impl_->server->Drain(deadline, [&emptied] { emptied.Notify(); });
    emptied.WaitForNotificationWithTimeout(deadline);
  }
  impl_->server->Halt();  // `emptied` is not used afterwards
  impl_->stopped.Notify();
}

bool BlockServer::Wait(absl::Duration timeout) {
  if (!impl_->guard.Check("server").ok()) return true;
  return impl_->stopped.WaitForNotificationWithTimeout(timeout);
}

}  // namespace fallow
