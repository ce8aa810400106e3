// The state behind Session: a conversation that forks share, one sequence of it each.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "client/conversation.h"
#include "client/model_state.h"
#include "fallow/session.h"

namespace fallow {

// Forks of one session take turns: an epoch belongs to all sequences.
class SharedConversation {
 public:
  explicit SharedConversation(std::shared_ptr<ModelState> model) : model_(std::move(model)) {}

  ModelState& model() { return *model_; }

  absl::Status CheckProcess() const { return model_->CheckProcess(); }

  // A number for a new fork, if possible one that was given back.
  int TakeSequence();
  void GiveBack(int sequence);

  // Runs one turn of one sequence; a fork's first names its parent.
  absl::StatusOr<Generation> Run(int sequence, int fork_of, std::vector<TokenId> ids,
                                 std::int64_t prompt, const GenerateOptions& options,
                                 OnToken on_token);

 private:
  const std::shared_ptr<ModelState> model_;
  absl::Mutex turn_mutex_;  // held for a whole turn
  std::unique_ptr<Conversation> conversation_ ABSL_GUARDED_BY(turn_mutex_);
  absl::Mutex mutex_;
  int sequences_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<int> free_ ABSL_GUARDED_BY(mutex_);
};

struct Session::Impl {
  explicit Impl(std::shared_ptr<SharedConversation> shared)
      : conversation(std::move(shared)), sequence(conversation->TakeSequence()) {}
  ~Impl() { conversation->GiveBack(sequence); }

  const std::shared_ptr<SharedConversation> conversation;
  const int sequence;
  int fork_of = -1;  // until the first turn
  std::vector<TokenId> tokens;
};

}  // namespace fallow
