#include "fallow/distributed_model.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "client/conversation.h"
#include "client/model_state.h"
#include "client/session_state.h"

namespace fallow {

struct DistributedModel::Impl {
  std::shared_ptr<ModelState> state;
};

DistributedModel::DistributedModel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DistributedModel::~DistributedModel() {
  // In a forked child its threads are the parent's: nothing can be ended or freed there.
  if (!impl_->state->CheckProcess().ok()) impl_.release();
}

absl::StatusOr<std::unique_ptr<DistributedModel>> DistributedModel::Load(Options options) {
  auto impl = std::make_unique<Impl>();
  FALLOW_ASSIGN_OR_RETURN(impl->state, ModelState::Load(std::move(options)));
  return std::unique_ptr<DistributedModel>(new DistributedModel(std::move(impl)));
}

const ModelSpec& DistributedModel::spec() const { return impl_->state->spec(); }

absl::StatusOr<Generation> DistributedModel::Generate(std::span<const TokenId> prompt,
                                                      const GenerateOptions& options,
                                                      OnToken on_token) {
  return GenerateBatch({{prompt.begin(), prompt.end()}}, options,
                       [&](int, TokenId token) { return on_token(token); });
}

absl::StatusOr<Generation> DistributedModel::GenerateBatch(
    const std::vector<std::vector<TokenId>>& prompts, const GenerateOptions& options,
    OnBatchToken on_token) {
  ModelState& state = *impl_->state;
  FALLOW_RETURN_IF_ERROR(state.Check(options));
  ConversationTurn turn{
      .ids = prompts, .options = options, .stop_tokens = state.StopTokens(options)};
  for (const std::vector<TokenId>& prompt : prompts) {
    FALLOW_RETURN_IF_ERROR(state.CheckPrompt(prompt, static_cast<std::int64_t>(prompt.size())));
    turn.prompts.push_back(static_cast<std::int64_t>(prompt.size()));
  }
  FALLOW_ASSIGN_OR_RETURN(auto conversation, state.Converse(options.end_mode));
  auto generation = conversation->Run(turn, on_token);
  if (generation.ok()) state.KeepRoute(generation->route);
  return generation;
}

absl::StatusOr<std::vector<float>> DistributedModel::Logits(std::span<const TokenId> prompt) {
  ModelState& state = *impl_->state;
  FALLOW_RETURN_IF_ERROR(state.CheckPrompt(prompt, static_cast<std::int64_t>(prompt.size())));
  FALLOW_ASSIGN_OR_RETURN(auto conversation, state.Converse(EndMode::kPrivateEnds));
  FALLOW_ASSIGN_OR_RETURN(const PrivateEnds* ends, state.Ends());
  std::vector<float> logits(prompt.size() * spec().vocab_size);
  FALLOW_RETURN_IF_ERROR(conversation->Forward(
      prompt,
      [&](std::int64_t position, std::int64_t count, std::string_view rows) -> absl::Status {
        FALLOW_ASSIGN_OR_RETURN(const std::vector<float> part, ends->Logits(rows, count));
        std::copy(part.begin(), part.end(), logits.begin() + position * spec().vocab_size);
        return absl::OkStatus();
      }));
  return logits;
}

absl::StatusOr<std::unique_ptr<Session>> DistributedModel::OpenSession() {
  FALLOW_RETURN_IF_ERROR(impl_->state->CheckProcess());
  auto session =
      std::make_unique<Session::Impl>(std::make_shared<SharedConversation>(impl_->state));
  return std::unique_ptr<Session>(new Session(std::move(session)));
}

std::vector<RouteHop> DistributedModel::route() const { return impl_->state->route(); }

absl::StatusOr<std::string> DistributedModel::numeric_class() {
  return impl_->state->AskNumericClass();
}

}  // namespace fallow
