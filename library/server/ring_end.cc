#include "server/ring_end.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "model/sampler.h"
#include "server/limits.h"

namespace fallow {
namespace {

SamplingOptions ReadSampling(const v1::Sampling& sampling) {
  SamplingOptions options;
  options.do_sample = sampling.do_sample();
  options.temperature = sampling.temperature();
  options.top_k = sampling.top_k();
  options.top_p = sampling.top_p();
  options.min_p = sampling.min_p();
  options.typical_p = sampling.typical_p();
  options.repetition_penalty = sampling.repetition_penalty();
  options.frequency_penalty = sampling.frequency_penalty();
  options.presence_penalty = sampling.presence_penalty();
  options.seed = sampling.seed();
  for (const v1::BadWord& word : sampling.bad_words()) {
    options.bad_words.emplace_back(word.tokens().begin(), word.tokens().end());
  }
  return options;
}

}  // namespace

absl::StatusOr<RingEnd> RingEnd::Read(const v1::Generation& generation, int sequences,
                                      std::int64_t kv_tokens, int vocab_size) {
  RingEnd end;
  end.sampling_ = ReadSampling(generation.sampling());
  FALLOW_RETURN_IF_ERROR(Validate(end.sampling_, vocab_size));
  end.stop_tokens_.assign(generation.stop_tokens().begin(), generation.stop_tokens().end());
  end.sequences_.resize(sequences);
  for (const v1::SequenceGeneration& read : generation.sequences()) {
    FALLOW_RETURN_IF_ERROR(end.ReadSequence(read, kv_tokens, vocab_size));
  }
  return end;
}

absl::Status RingEnd::ReadSequence(const v1::SequenceGeneration& read, std::int64_t kv_tokens,
                                   int vocab_size) {
  const auto wrong = [&](auto... what) {
    return absl::InvalidArgumentError(
        absl::StrCat("generation: sequence ", read.sequence(), ": ", what...));
  };
  if (read.sequence() >= sequences_.size()) return wrong("there are ", sequences_.size());
  if (read.known() < 1) return wrong("no token is known");
  // The last token is not computed, so it needs no place in the cache.
  if (read.limit() <= read.known() || read.limit() > kv_tokens + 1) {
    return wrong("limit ", read.limit(), " after ", read.known(), " tokens, with ", kv_tokens,
                 " positions reserved");
  }
  if (read.prompt() > read.known()) return wrong("prompt of ", read.prompt(), " tokens");
  const bool has_history = read.history_size() > 0;
  if (has_history ? read.history_size() != static_cast<std::int64_t>(read.known())
                  : LooksAtHistory(sampling_)) {
    return wrong("history of ", read.history_size(), " tokens, expected ", read.known());
  }
  for (const TokenId id : read.history()) {
    if (id < 0 || id >= vocab_size) return wrong("token ", id, " of ", vocab_size);
  }
  Sequence& sequence = sequences_[read.sequence()];
  if (!sequence.ended) return wrong("named twice");
  sequence.history.assign(read.history().begin(), read.history().end());
  sequence.history.resize(read.known());
  sequence.limit = read.limit();
  sequence.acknowledged = read.known();
  sequence.prompt = read.prompt();
  sequence.ended = false;
  return absl::OkStatus();
}

int RingEnd::candidates_needed() const { return CandidatesNeeded(sampling_); }

bool RingEnd::Wants(int sequence) const {
  return Generates(sequence) && next(sequence) < sequences_[sequence].acknowledged + kRunAhead;
}

TokenId RingEnd::Sample(int sequence, std::span<float> logits) {
  const Sequence& state = sequences_[sequence];
  return Take(sequence, SampleToken(logits, sampling_, state.history, state.prompt, sequence));
}

TokenId RingEnd::Sample(int sequence, std::span<const ShortlistEntry> shortlist) {
  const std::size_t position = sequences_[sequence].history.size();
  return Take(sequence, SampleToken(shortlist, sampling_, position, sequence));
}

TokenId RingEnd::Take(int sequence, TokenId token) {
  Sequence& state = sequences_[sequence];
  state.history.push_back(token);
  const bool stops =
      std::find(stop_tokens_.begin(), stop_tokens_.end(), token) != stop_tokens_.end();
  state.ended = stops || std::ssize(state.history) >= state.limit;
  return token;
}

absl::Status RingEnd::Acknowledge(int sequence, std::int64_t known) {
  Sequence& state = sequences_[sequence];
  if (known > std::ssize(state.history) && !state.history.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("ack: sequence ", sequence, ": ", known,
                                                   " tokens known, sent were ",
                                                   state.history.size()));
  }
  state.acknowledged = std::max(state.acknowledged, known);
  return absl::OkStatus();
}

}  // namespace fallow
