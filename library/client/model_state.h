// What a DistributedModel and its sessions share: the spec, the way to the peers, the ends.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/platform/fork.h"
#include "client/conversation.h"
#include "client/peer_table.h"
#include "client/private_ends.h"
#include "client/random_bytes.h"
#include "fallow/block_server.h"
#include "fallow/distributed_model.h"
#include "model/checkpoint.h"
#include "wire/loopback_transport.h"

namespace fallow {

// Thread-safe. Conversations must be gone before it.
class ModelState {
 public:
  static absl::StatusOr<std::shared_ptr<ModelState>> Load(DistributedModel::Options options);
  ~ModelState();

  const ModelSpec& spec() const { return spec_; }

  absl::Status CheckProcess() const { return fork_guard_.Check("model"); }
  absl::Status Check(const GenerateOptions& options) const;
  // `known`: tokens before generation, the prompt among them.
  absl::Status CheckPrompt(std::span<const TokenId> prompt, std::int64_t known) const;
  std::vector<TokenId> StopTokens(const GenerateOptions& options) const;

  // Asks the peers if need be.
  absl::StatusOr<std::unique_ptr<Conversation>> Converse(EndMode end_mode);
  absl::StatusOr<const PrivateEnds*> Ends();
  absl::StatusOr<std::string> AskNumericClass();

  // Remembers the route, named as the user named the peers.
  void KeepRoute(std::vector<RouteHop>& route);
  std::vector<RouteHop> route() const;

 private:
  explicit ModelState(DistributedModel::Options options);
  absl::Status ReadCheckpoint();
  absl::Status ServeInProcess();
  absl::Status ConnectToPeers();
  absl::Status AskPeers();

  const DistributedModel::Options options_;
  const ForkGuard fork_guard_;
  const std::string beginning_key_ = RandomBytes(32);
  std::unique_ptr<Checkpoint> checkpoint_;
  std::optional<Family> family_;
  ModelSpec spec_;
  std::string model_;  // digest; empty: the checkpoint has no tensors to tell

  // In the order of their making; what is made later goes first.
  std::optional<LoopbackNetwork> network_;  // without peers
  std::unique_ptr<BlockServer> server_;     // without peers
  std::optional<Identity> identity_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<PeerTable> peers_;  // on the loop

  mutable absl::Mutex mutex_;
  std::unique_ptr<PrivateEnds> ends_ ABSL_GUARDED_BY(mutex_);
  std::vector<RouteHop> route_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fallow
