// Drawing tokens: a pure function, so that any replacement hop draws the same one.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "fallow/sampling.h"
#include "kernels/shortlist/shortlist.h"

namespace fallow {

// InvalidArgument names the field, its value and what is allowed.
absl::Status Validate(const SamplingOptions& options, int vocab_size);

// Whether the tokens before matter: penalties and bad words do that.
bool LooksAtHistory(const SamplingOptions& options);

// How many of the likeliest tokens decide: with a shortlist of them the token can be drawn without
// the other logits. 0 if all are needed.
int CandidatesNeeded(const SamplingOptions& options);

// The token for a position of a sequence, from a shortlist of at least CandidatesNeeded() entries
// or the whole vocabulary; it is the one that the function below draws.
TokenId SampleToken(std::span<const ShortlistEntry> shortlist, const SamplingOptions& options,
                    std::uint64_t position, std::uint32_t sequence);

// The token for position `history.size()` of a sequence.
//   logits   [vocab_size]; changed in place (penalties)
//   history  all tokens before: the prompt and what was generated
//   prompt   how many of them were given, not generated (frequency and presence count the rest)
//   sequence its number in the session, so that equal prompts of a batch draw differently
// Randomness is Philox-4x32-10 with key `seed` and counter (position, sequence): no state.
// Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011.
TokenId SampleToken(std::span<float> logits, const SamplingOptions& options,
                    std::span<const TokenId> history, std::size_t prompt, std::uint32_t sequence);

}  // namespace fallow
