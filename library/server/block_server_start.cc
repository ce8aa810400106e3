// Servers that other machines reach.
#include <memory>
#include <optional>
#include <utility>

#include "base/status_macros.h"
#include "fallow/block_server.h"
#include "server/local_server.h"
#include "wire/grpc_transport.h"

namespace fallow {

absl::StatusOr<std::unique_ptr<BlockServer>> BlockServer::Start(Options options) {
  if (options.insecure && !options.identity.empty()) {
    return absl::InvalidArgumentError("identity: without meaning where `insecure` is set");
  }
  std::optional<Identity> identity;
  if (!options.identity.empty()) {
    FALLOW_ASSIGN_OR_RETURN(identity, Identity::LoadOrCreate(options.identity));
  } else if (!options.insecure) {
    identity = Identity::Generate();
  }
  std::unique_ptr<Transport> transport =
      MakeGrpcTransport(identity ? &*identity : nullptr, options.insecure);
  FALLOW_ASSIGN_OR_RETURN(auto server,
                          LocalServer::Start(options, identity ? identity->peer() : PeerId{},
                                             std::move(transport), LocalServer::Driver::kThreads));
  return LocalServer::Wrap(std::move(server));
}

}  // namespace fallow
