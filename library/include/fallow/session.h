// A conversation with a model: what was said stays on the hops, only new tokens travel.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "fallow/peer.h"
#include "fallow/sampling.h"

namespace fallow {

enum class EndMode {
  kRing,         // the last hop samples; the client holds no weights
  kPrivateEnds,  // the client embeds and samples; servers never see tokens
};

enum class FinishReason { kStopToken, kLength, kCallback };

struct GenerateOptions {
  int max_new_tokens = 256;
  SamplingOptions sampling;
  std::vector<TokenId> stop_tokens;  // besides the model's own end tokens
  bool ignore_end_tokens = false;  // go on after the model's end tokens (and stop_tokens alone end)
  EndMode end_mode = EndMode::kRing;
};

// One hop's share of the last generation.
struct RouteHop {
  PeerId peer;
  std::string address;  // "host:port"; "in process" without peers
  BlockRange blocks;
  double milliseconds_per_token = 0;  // after the prompt; if there was none, per row of the prompt
};

// A hop that was replaced, or came back, in the course of a generation.
struct Recovery {
  PeerId blamed;
  std::string reason;
  absl::Duration pause;  // from the last token before to the first after
};

struct Generation {
  std::vector<std::vector<TokenId>> tokens;  // new ones, by prompt, with the stop token if one came
  std::vector<FinishReason> finish;          // by prompt
  double prefill_tokens_per_second = 0;  // of those that the hops did not hold from an earlier turn
  double decode_tokens_per_second = 0;   // summed over prompts
  std::vector<RouteHop> route;
  std::vector<Recovery> recoveries;
};

// Called for each token in order, from the calling thread. False ends that sequence: no further
// token of it is reported or kept.
using OnToken = absl::FunctionRef<bool(TokenId token)>;

// One sequence that grows: prompt, answer, prompt, ... Not thread-safe; a fork is another session
// that shares its beginning on the hops.
class Session {
 public:
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The tokens so far.
  const std::vector<TokenId>& tokens() const;

  // Appends `prompt`, then generates. Only the new tokens travel.
  absl::StatusOr<Generation> Generate(std::span<const TokenId> prompt,
                                      const GenerateOptions& options, OnToken on_token);

  // Forgets all tokens from `length` on. InvalidArgument if there are fewer.
  absl::Status Rewind(std::int64_t length);

  // A session with the same tokens so far; keys and values are shared, not recomputed.
  absl::StatusOr<std::unique_ptr<Session>> Fork();

 private:
  friend class DistributedModel;
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fallow
