// One connection for each pair of peers, for as long as it is used.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "fallow/peer.h"
#include "grpcpp/channel.h"
#include "grpcpp/security/credentials.h"

namespace fallow {

class GrpcChannels {
 public:
  // `identified`: whether the credentials can tell whether a peer is the expected one.
  GrpcChannels(std::shared_ptr<grpc::ChannelCredentials> credentials, bool identified);

  // Connects when the first call is made. From any thread.
  std::shared_ptr<grpc::Channel> To(const PeerAddress& peer);

 private:
  struct Entry {
    std::shared_ptr<grpc::Channel> channel;
    absl::Time last_asked_for;
  };

  std::shared_ptr<grpc::Channel> Make(const PeerAddress& peer) const;
  void DropUnused(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  const bool identified_;
  absl::Mutex mutex_;
  std::map<std::string, Entry> channels_ ABSL_GUARDED_BY(mutex_);  // by the whole address
};

}  // namespace fallow
