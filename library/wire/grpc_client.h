// Calls to other peers.
#pragma once

#include <memory>

#include "grpcpp/channel.h"
#include "wire/grpc_loop.h"
#include "wire/transport.h"

namespace fallow {

std::unique_ptr<ControlClient> OpenGrpcControl(std::shared_ptr<grpc::Channel> channel,
                                               GrpcLoop& loop);
std::unique_ptr<DataStream> OpenGrpcData(std::shared_ptr<grpc::Channel> channel, GrpcLoop& loop);
void AskGrpcInfo(std::shared_ptr<grpc::Channel> channel, absl::Duration timeout, GrpcLoop& loop,
                 Transport::InfoDone done);

}  // namespace fallow
