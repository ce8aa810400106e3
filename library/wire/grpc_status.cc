#include "wire/grpc_status.h"

#include <string>

#include "wire/tls.h"

namespace fallow {
namespace {

// Cancelled: the other side let go of its stream. Unknown and "RST_STREAM": the connection went.
bool MeansBroken(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::CANCELLED ||
         status.error_code() == grpc::StatusCode::UNKNOWN ||
         (status.error_code() == grpc::StatusCode::INTERNAL &&
          status.error_message().find("RST_STREAM") != std::string::npos);
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) {
    return absl::OkStatus();
  }
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE && SaysWrongPeer(status)) {
    return absl::PermissionDeniedError(status.error_message());
  }
  if (MeansBroken(status)) {
    return absl::UnavailableError("the stream broke: " + status.error_message());
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace fallow
