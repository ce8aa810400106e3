#include "wire/grpc_channels.h"

#include <utility>

#include "base/monotonic_time.h"
#include "grpc/grpc.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/support/channel_arguments.h"
#include "wire/grpc_settings.h"
#include "wire/tls.h"

namespace fallow {
namespace {

constexpr absl::Duration kKeepUnused = absl::Seconds(60);

void SetConnecting(grpc::ChannelArguments& arguments) {
  arguments.SetInt("grpc.initial_reconnect_backoff_ms",
                   100);  // a peer that restarted is found soon
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
                   kHandshakeTimeoutMs);  // a time limit, in fact
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // transports share no connections
  arguments.SetInt(GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(kKeepUnused)));
}

void SetKeepalive(grpc::ChannelArguments& arguments) {
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // as many as needed
}

}  // namespace

GrpcChannels::GrpcChannels(std::shared_ptr<grpc::ChannelCredentials> credentials, bool identified)
    : credentials_(std::move(credentials)), identified_(identified) {}

std::shared_ptr<grpc::Channel> GrpcChannels::To(const PeerAddress& peer) {
  const absl::Time now = MonotonicNow();
  absl::MutexLock lock(&mutex_);
  DropUnused(now);
  Entry& entry = channels_[peer.ToString()];
  entry.last_asked_for = now;
  // One that failed to connect would fail everything until its backoff ends: who asks again now,
  // may know better.
  if (entry.channel == nullptr ||
      entry.channel->GetState(/*try_to_connect=*/false) == GRPC_CHANNEL_TRANSIENT_FAILURE) {
    entry.channel = Make(peer);
  }
  return entry.channel;
}

std::shared_ptr<grpc::Channel> GrpcChannels::Make(const PeerAddress& peer) const {
  grpc::ChannelArguments arguments;
  SetConnecting(arguments);
  SetKeepalive(arguments);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  if (identified_) {
    ExpectPeer(peer.peer, arguments);
  }
  return grpc::CreateCustomChannel("dns:///" + peer.HostPort(), credentials_, arguments);
}

void GrpcChannels::DropUnused(absl::Time now) {
  std::erase_if(channels_, [now](const auto& entry) {
    return entry.second.channel.use_count() == 1 && now - entry.second.last_asked_for > kKeepUnused;
  });
}

}  // namespace fallow
