// Between gRPC's statuses and ours.
#pragma once

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace fallow {

grpc::Status ToGrpcStatus(const absl::Status& status);

// What a call's end means to those who made it. A broken connection is Unavailable however gRPC
// names it; another peer than expected is PermissionDenied.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace fallow
