// One chain as its caller's thread sees it: turns that block until they are done.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "client/chain.h"
#include "client/peer_table.h"
#include "client/private_ends.h"
#include "fallow/session.h"

namespace fallow {

// What all conversations of a model share. Outlives them.
struct ConversationContext {
  const ModelSpec& spec;
  Transport& transport;
  Loop& loop;
  PeerTable& peers;  // on the loop
  Payer* payer = nullptr;
  std::string beginning_key;
  std::function<void(std::vector<RouteHop>)> on_route;  // called on the loop
};

// One turn of several sequences.
struct ConversationTurn {
  std::vector<std::vector<TokenId>> ids;  // by sequence, all tokens known; empty: not in this turn
  std::vector<std::int64_t> fork_of;      // by sequence, -1: none; may be shorter
  std::vector<std::int64_t> prompts;      // by sequence, tokens that were given
  GenerateOptions options;
  std::vector<TokenId> stop_tokens;  // in force: the model's and the options'
};

class Conversation : private ChainOwner {
 public:
  // `ends` are needed for private ends, else null. The peers must have been asked.
  Conversation(const ConversationContext& context, EndMode end_mode, const PrivateEnds* ends);
  ~Conversation() override;

  // Generates; `on_token` is called on this thread. At most one call at a time.
  absl::StatusOr<Generation> Run(const ConversationTurn& turn,
                                 absl::FunctionRef<bool(int sequence, TokenId token)> on_token);

  // Private ends: runs `ids` through the chain; `on_rows` gets the outputs of all positions in
  // order.
  using OnRowsDone =
      absl::FunctionRef<absl::Status(std::int64_t position, std::int64_t count, std::string_view)>;
  absl::Status Forward(std::span<const TokenId> ids, OnRowsDone on_rows);

  EndMode end_mode() const { return end_mode_; }

 private:
  struct TokenEvent {
    std::uint32_t sequence;
    TokenId id;
  };
  struct RowsEvent {
    std::uint32_t sequence;
    std::int64_t position;
    std::int64_t count;
    std::string rows;
  };
  using Event = std::variant<TokenEvent, RowsEvent, Recovery, absl::Status>;
  struct Progress;  // of a Run

  // ChainOwner, on the loop
  void OnToken(std::uint32_t sequence, std::int64_t position, TokenId id) override;
  void OnRows(std::uint32_t sequence, std::int64_t position, std::int64_t count,
              std::string_view rows) override;
  void OnRoute(std::vector<RouteHop> route) override;
  void OnRecovered(Recovery recovery) override;
  void OnFailed(absl::Status status) override;

  void Push(Event event);
  Event Next();  // blocks
  void Begin(Turn turn, std::int64_t kv_tokens);
  void OnLoop(std::function<void(Chain&)> task);  // does not wait
  absl::Status Pump(Progress& progress, absl::FunctionRef<bool(int, TokenId)> on_token);
  absl::StatusOr<TokenId> Draw(const RowsEvent& event, Progress& progress);
  bool Take(Progress& progress, int sequence, TokenId token,
            absl::FunctionRef<bool(int, TokenId)> on_token);
  Chain::Measured EndTurn();  // after it no event comes

  const ConversationContext context_;
  const EndMode end_mode_;
  const PrivateEnds* const ends_;
  std::unique_ptr<Chain> chain_;  // made, used and destroyed on the loop

  absl::Mutex mutex_;
  std::deque<Event> events_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fallow
