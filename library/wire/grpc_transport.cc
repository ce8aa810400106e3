#include "wire/grpc_transport.h"

#include <utility>

#include "base/platform/fork.h"
#include "base/status_macros.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"
#include "wire/grpc_channels.h"
#include "wire/grpc_client.h"
#include "wire/grpc_listener.h"
#include "wire/grpc_loop.h"
#include "wire/tls.h"

namespace fallow {
namespace {

GrpcLoop& OurLoop(Loop& loop) { return static_cast<GrpcLoop&>(loop); }

class GrpcTransport final : public Transport {
 public:
  GrpcTransport(std::shared_ptr<grpc::ChannelCredentials> channel_credentials,
                std::shared_ptr<grpc::ServerCredentials> server_credentials, bool identified)
      : server_credentials_(std::move(server_credentials)),
        identified_(identified),
        channels_(std::move(channel_credentials), identified) {}

  std::unique_ptr<Loop> NewLoop(const std::string& name) override {
    return std::make_unique<GrpcLoop>(name, std::make_shared<GrpcQueue>(), GrpcQueue::Turn::kFirst);
  }

  std::unique_ptr<Loop> NewLoopBeside(Loop& other, const std::string& name) override {
    return std::make_unique<GrpcLoop>(name, OurLoop(other).queue(), GrpcQueue::Turn::kStandsBy);
  }

  absl::StatusOr<std::unique_ptr<Listener>> Listen(const std::string& listen, Acceptor& acceptor,
                                                   Loop& control, Loop& data) override {
    FALLOW_RETURN_IF_ERROR(fork_check_.Check("the gRPC transport"));
    return ListenOnGrpc({.listen = listen,
                         .credentials = server_credentials_,
                         .identified = identified_,
                         .acceptor = &acceptor,
                         .control = &OurLoop(control),
                         .data = &OurLoop(data)});
  }

  std::unique_ptr<ControlClient> OpenControl(const PeerAddress& peer, Loop& loop) override {
    return OpenGrpcControl(channels_.To(peer), OurLoop(loop));
  }

  std::unique_ptr<DataStream> OpenData(const PeerAddress& peer, Loop& loop) override {
    return OpenGrpcData(channels_.To(peer), OurLoop(loop));
  }

  void Info(const PeerAddress& peer, absl::Duration timeout, Loop& loop, InfoDone done) override {
    AskGrpcInfo(channels_.To(peer), timeout, OurLoop(loop), std::move(done));
  }

 private:
  const ForkGuard fork_check_;
  const std::shared_ptr<grpc::ServerCredentials> server_credentials_;
  const bool identified_;
  GrpcChannels channels_;
};

}  // namespace

std::unique_ptr<Transport> MakeGrpcTransport(const Identity* identity, bool insecure) {
  if (insecure) {
    return std::make_unique<GrpcTransport>(grpc::InsecureChannelCredentials(),
                                           grpc::InsecureServerCredentials(),
                                           /*identified=*/false);
  }
  const TlsKeyPair self = MakeCertificate(*identity);
  return std::make_unique<GrpcTransport>(MakeChannelCredentials(self), MakeServerCredentials(self),
                                         /*identified=*/true);
}

}  // namespace fallow
