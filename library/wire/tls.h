// Mutual TLS between peers that know each other by id. All that gRPC calls experimental is in
// tls.cc.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "fallow/peer.h"
#include "grpcpp/channel.h"
#include "grpcpp/security/auth_context.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/support/channel_arguments.h"
#include "wire/certificate.h"

namespace fallow {

// For channels to any peer. Which peer is expected, each channel says in its arguments.
std::shared_ptr<grpc::ChannelCredentials> MakeChannelCredentials(const TlsKeyPair& self);
void ExpectPeer(const PeerId& peer, grpc::ChannelArguments& arguments);

// Only lets in clients that prove some peer id.
std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const TlsKeyPair& self);

// Who is at the other end of a server's connection. PermissionDenied if nobody was proved.
absl::StatusOr<PeerId> RemotePeer(const grpc::AuthContext& context);

// Whether a call failed because the other side is not the expected peer, or proved none.
bool SaysWrongPeer(const grpc::Status& status);

}  // namespace fallow
