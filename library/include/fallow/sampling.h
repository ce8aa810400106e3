// How the next token is drawn from logits.
#pragma once

#include <cstdint>
#include <vector>

#include "fallow/model_spec.h"

namespace fallow {

// The names and meanings of Hugging Face's GenerationConfig. Applied in this order: penalties, bad
// words, temperature, top_k, top_p, min_p, typical_p; then one draw. Greedy (the largest logit,
// ties to the lower id) when do_sample is false; penalties and bad words apply then too.
struct SamplingOptions {
  bool do_sample = false;
  double temperature = 1;         // > 0
  int top_k = 0;                  // keep the k largest; 0: all
  double top_p = 1;               // keep the smallest set with at least this probability; (0, 1]
  double min_p = 0;               // drop those below min_p times the largest probability; [0, 1)
  double typical_p = 1;           // locally typical sampling (Meister et al., 2022); (0, 1]
  double repetition_penalty = 1;  // > 0; divides positive and multiplies negative logits of tokens
                                  // in the history (Keskar et al., 2019)
  double frequency_penalty = 0;   // subtracted once per occurrence among generated tokens
  double presence_penalty = 0;    // subtracted once if it occurs among generated tokens
  std::vector<std::vector<TokenId>> bad_words{};  // token sequences that must not be completed
  std::uint64_t seed = 0;  // the same seed gives the same tokens on any route of one class

  friend bool operator==(const SamplingOptions&, const SamplingOptions&) = default;
};

}  // namespace fallow
