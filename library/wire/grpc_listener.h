// The server's side of the gRPC transport.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "grpcpp/security/server_credentials.h"
#include "wire/grpc_loop.h"
#include "wire/transport.h"

namespace fallow {

struct GrpcListenOptions {
  std::string listen;  // host:port
  std::shared_ptr<grpc::ServerCredentials> credentials;
  bool identified = true;  // clients that prove no peer id are turned away
  Acceptor* acceptor = nullptr;
  GrpcLoop* control = nullptr;  // takes one listener in its life
  GrpcLoop* data = nullptr;
};

absl::StatusOr<std::unique_ptr<Listener>> ListenOnGrpc(const GrpcListenOptions& options);

}  // namespace fallow
