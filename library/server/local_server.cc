#include "server/local_server.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/status_macros.h"

namespace fallow {
namespace {

HopLimits LimitsOf(const BlockServer::Options& options) {
  HopLimits limits;
  limits.max_sessions = options.max_sessions;
  limits.max_outbox = options.max_outbox;
  limits.grace = options.grace;
  limits.idle = options.idle_timeout;
  return limits;
}

absl::Status Check(const BlockServer::Options& options) {
  if (options.max_sessions < 1) {
    return absl::InvalidArgumentError(absl::StrCat("max_sessions = ", options.max_sessions));
  }
  if (options.max_outbox < 0) {
    return absl::InvalidArgumentError(absl::StrCat("max_outbox = ", options.max_outbox));
  }
  if (options.grace < absl::ZeroDuration() || options.idle_timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("grace and idle_timeout must not be negative");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<LocalServer>> LocalServer::Start(
    const BlockServer::Options& options, const PeerId& self, std::unique_ptr<Transport> transport,
    Driver driver) {
  FALLOW_RETURN_IF_ERROR(Check(options));
  auto server = std::unique_ptr<LocalServer>(new LocalServer(self, std::move(transport), driver));
  FALLOW_ASSIGN_OR_RETURN(server->host_, ModelHost::Load(options));
  FALLOW_RETURN_IF_ERROR(server->Listen(options));
  return server;
}

absl::Status LocalServer::Listen(const BlockServer::Options& options) {
  data_ = transport_->NewLoop("fallow data");
  control_ = transport_->NewLoopBeside(*data_, "fallow control");
  hop_ = std::make_unique<Hop>(Hop::Options{.model = host_->served(),
                                            .self = self_,
                                            .limits = LimitsOf(options),
                                            .gate = options.gate},
                               *transport_, *control_, *data_);
  FALLOW_ASSIGN_OR_RETURN(listener_, transport_->Listen(options.listen, *hop_, *control_, *data_));
  std::string host_port = listener_->host_port();
  if (!options.announce.empty()) {
    host_port = absl::StrCat(options.announce, host_port.substr(host_port.rfind(':')));
  }
  address_ = absl::StrCat(host_port, "#", self_.ToString());
  return absl::OkStatus();
}

LocalServer::~LocalServer() { Halt(); }

BlockServer::Stats LocalServer::stats() const {
  const HopCounters& counters = hop_->counters();
  return {.sessions = counters.sessions,
          .weight_bytes = host_->weight_bytes(),
          .kv_tokens_reserved = counters.kv_tokens_reserved,
          .kv_tokens_capacity = served().cache->capacity_tokens(),
          .passes = counters.passes,
          .rows = counters.rows,
          .computing = absl::Nanoseconds(counters.computing_ns.load()),
          .draining = counters.draining};
}

void LocalServer::Drain(absl::Duration deadline, std::function<void()> emptied) {
  data_->Post([this, deadline, emptied = std::move(emptied)]() mutable {
    hop_->Drain(deadline, std::move(emptied));
  });
}

void LocalServer::RunOn(Loop& loop, Loop::Task task) {
  if (driver_ == Driver::kCaller) return std::move(task)();
  absl::Notification done;
  loop.Post([&] {
    std::move(task)();
    done.Notify();
  });
  done.WaitForNotification();
}

void LocalServer::Halt() {
  if (data_ == nullptr) return;
  listener_.reset();
  RunOn(*control_, [this] { hop_->StopListening(); });
  RunOn(*data_, [this] { hop_->CloseAll(); });
  RunOn(*control_, [this] { hop_->BreakControls(); });
  data_.reset();
  control_.reset();
}

}  // namespace fallow
