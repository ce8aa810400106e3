// The transport over gRPC, with mutual TLS by peer id.
#pragma once

#include <memory>

#include "fallow/peer.h"
#include "wire/transport.h"

namespace fallow {

// `identity` is this peer's; it is copied. With `insecure` nothing is encrypted and nobody is
// identified: any peer may answer at an address, and servers see empty ids.
//
// A control loop takes one listener in its life. In a process that was forked since, Listen says
// so.
std::unique_ptr<Transport> MakeGrpcTransport(const Identity* identity, bool insecure);

}  // namespace fallow
