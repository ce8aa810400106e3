// How the last hop of a ring goes on: what it may sample, and when it must wait for the client.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "fallow/sampling.h"
#include "fallow/v1/peer.pb.h"
#include "kernels/shortlist/shortlist.h"

namespace fallow {

// The tokens of each sequence that is generated. A token is wanted unless a stop token came, the
// limit is reached, or the client has not acknowledged the 32 before it.
class RingEnd {
 public:
  // InvalidArgument if a field breaks a rule. `sequences`: of the session, of `kv_tokens` each.
  static absl::StatusOr<RingEnd> Read(const v1::Generation& generation, int sequences,
                                      std::int64_t kv_tokens, int vocab_size);

  bool Generates(int sequence) const { return !sequences_[sequence].ended; }

  // The position of the next token; its logits come from the output before it.
  std::int64_t next(int sequence) const { return std::ssize(sequences_[sequence].history); }

  bool Wants(int sequence) const;

  // Samples that token from its logits [vocab_size], which are changed, or from a shortlist of as
  // many of the likeliest as are needed; 0: all logits are.
  TokenId Sample(int sequence, std::span<float> logits);
  TokenId Sample(int sequence, std::span<const ShortlistEntry> shortlist);
  int candidates_needed() const;

  // True if the token sampled last has to pass through the model: another one follows it.
  bool Continues(int sequence) const { return !sequences_[sequence].ended; }

  // The client knows tokens [0, known). InvalidArgument if it was not sent as many.
  absl::Status Acknowledge(int sequence, std::int64_t known);

 private:
  struct Sequence {
    std::vector<TokenId> history;  // zeros where sampling does not look at the tokens
    std::int64_t limit = 0;
    std::int64_t acknowledged = 0;
    std::int64_t prompt = 0;
    bool ended = true;
  };
  absl::Status ReadSequence(const v1::SequenceGeneration& read, std::int64_t kv_tokens,
                            int vocab_size);

  TokenId Take(int sequence, TokenId token);

  SamplingOptions sampling_;
  std::vector<TokenId> stop_tokens_;
  std::vector<Sequence> sequences_;  // by number; those not named are not generated
};

}  // namespace fallow
