#include "wire/grpc_log.h"

#include <string>

#include "base/log.h"
#include "grpc/support/log.h"

namespace fallow {
namespace {

LogLevel LevelOf(gpr_log_severity severity) {
  switch (severity) {
    case GPR_LOG_SEVERITY_DEBUG:
      return LogLevel::kDebug;
    case GPR_LOG_SEVERITY_INFO:
      return LogLevel::kInfo;
    case GPR_LOG_SEVERITY_ERROR:
      return LogLevel::kWarning;  // most are about a peer's fault, and nothing that failed here
  }
  return LogLevel::kInfo;
}

}  // namespace

void SendGrpcLogToSink() {
  gpr_set_log_function([](gpr_log_func_args* args) {
    Log(LevelOf(args->severity), std::string("gRPC: ") + args->message);
  });
}

}  // namespace fallow
