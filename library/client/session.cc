#include "fallow/session.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/session_state.h"

namespace fallow {

int SharedConversation::TakeSequence() {
  absl::MutexLock lock(&mutex_);
  if (free_.empty()) return sequences_++;
  const int sequence = free_.back();
  free_.pop_back();
  return sequence;
}

void SharedConversation::GiveBack(int sequence) {
  absl::MutexLock lock(&mutex_);
  free_.push_back(sequence);
}

absl::StatusOr<Generation> SharedConversation::Run(int sequence, int fork_of,
                                                   std::vector<TokenId> ids, std::int64_t prompt,
                                                   const GenerateOptions& options,
                                                   OnToken on_token) {
  ConversationTurn turn{.ids = std::vector<std::vector<TokenId>>(sequence + 1),
                        .fork_of = std::vector<std::int64_t>(sequence + 1, -1),
                        .prompts = std::vector<std::int64_t>(sequence + 1, 0),
                        .options = options,
                        .stop_tokens = model_->StopTokens(options)};
  turn.ids[sequence] = std::move(ids);
  turn.prompts[sequence] = prompt;
  absl::MutexLock lock(&turn_mutex_);
  if (conversation_ == nullptr || conversation_->end_mode() != options.end_mode) {
    FALLOW_ASSIGN_OR_RETURN(conversation_, model_->Converse(options.end_mode));
    fork_of = -1;  // nothing is held yet
  }
  turn.fork_of[sequence] = fork_of;
  auto generation = conversation_->Run(turn, [&](int, TokenId token) { return on_token(token); });
  if (generation.ok()) {
    generation->tokens = {std::move(generation->tokens[sequence])};
    generation->finish = {generation->finish[sequence]};
    model_->KeepRoute(generation->route);
  }
  return generation;
}

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() {
  if (!impl_->conversation->CheckProcess().ok()) impl_.release();  // see ~DistributedModel
}

const std::vector<TokenId>& Session::tokens() const { return impl_->tokens; }

absl::StatusOr<Generation> Session::Generate(std::span<const TokenId> prompt,
                                             const GenerateOptions& options, OnToken on_token) {
  ModelState& model = impl_->conversation->model();
  FALLOW_RETURN_IF_ERROR(model.Check(options));
  std::vector<TokenId> ids = impl_->tokens;
  ids.insert(ids.end(), prompt.begin(), prompt.end());
  FALLOW_RETURN_IF_ERROR(model.CheckPrompt(prompt, static_cast<std::int64_t>(ids.size())));
  FALLOW_ASSIGN_OR_RETURN(
      Generation generation,
      impl_->conversation->Run(impl_->sequence, impl_->fork_of, ids,
                               static_cast<std::int64_t>(ids.size()), options, on_token));
  impl_->fork_of = -1;
  impl_->tokens = std::move(ids);
  impl_->tokens.insert(impl_->tokens.end(), generation.tokens[0].begin(),
                       generation.tokens[0].end());
  return generation;
}

absl::Status Session::Rewind(std::int64_t length) {
  if (length < 0 || length > static_cast<std::int64_t>(impl_->tokens.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("session: rewind to ", length, ", it has ", impl_->tokens.size(), " tokens"));
  }
  impl_->tokens.resize(length);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Session>> Session::Fork() {
  FALLOW_RETURN_IF_ERROR(impl_->conversation->model().CheckProcess());
  auto fork = std::make_unique<Impl>(impl_->conversation);
  fork->fork_of = impl_->sequence;
  fork->tokens = impl_->tokens;
  return std::unique_ptr<Session>(new Session(std::move(fork)));
}

}  // namespace fallow
