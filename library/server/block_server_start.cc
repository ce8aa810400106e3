// Servers that other machines reach.
#include <utility>

#include "base/status_macros.h"
#include "fallow/block_server.h"
#include "server/local_server.h"
#include "wire/grpc_transport.h"

namespace fallow {

absl::StatusOr<std::unique_ptr<BlockServer>> BlockServer::Start(Options options) {
  Identity identity = Identity::Generate();
  if (!options.identity.empty()) {
    FALLOW_ASSIGN_OR_RETURN(identity, Identity::LoadOrCreate(options.identity));
  }
  FALLOW_ASSIGN_OR_RETURN(
      auto server,
      LocalServer::Start(options, identity.peer(), MakeGrpcTransport(&identity, options.insecure),
                         LocalServer::Driver::kThreads));
  return LocalServer::Wrap(std::move(server));
}

}  // namespace fallow
