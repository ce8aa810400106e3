// What gRPC has to say.
#pragma once

namespace fallow {

// Sends gRPC's messages of this process to our log's sink, instead of stderr. For executables of
// ours: in a host's process gRPC may be the host's too.
void SendGrpcLogToSink();

}  // namespace fallow
