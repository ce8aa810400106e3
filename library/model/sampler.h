// Drawing tokens: a pure function, so that any replacement hop draws the same one.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "fallow/sampling.h"

namespace fallow {

// InvalidArgument names the field, its value and what is allowed.
absl::Status Validate(const SamplingOptions& options, int vocab_size);

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
