// Compares a real model with Hugging Face transformers, and its numeric classes with one another.
//
//   hf_check MODEL.gguf smollm2.safetensors
//
// The fp32 class must continue every prompt with Hugging Face's tokens. The exact class is fed the
// same tokens, and compared with our fp32 class. make_reference.py says what the file holds.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tests/model/golden_files.h"
#include "tests/model/loaded_model.h"

namespace fallow {
namespace {

constexpr double kLogitTolerance = 1e-3;   // of the largest logit of a prompt
constexpr double kExactDivergence = 0.01;  // nats a token
constexpr double kLeastAgreement = 0.9;    // of the likeliest tokens
constexpr std::int64_t kTokens = 64;       // generated a prompt
constexpr std::int64_t kChunk = 128;

struct Reference {
  std::vector<TokenId> prompts;
  std::vector<TokenId> begins;
  std::vector<TokenId> tokens;        // [prompts, kTokens]
  std::vector<TokenId> sampled_ids;   // [prompts, kTokens, samples]
  std::vector<float> sampled_logits;  // likewise

  std::int64_t count() const { return std::ssize(begins) - 1; }
  std::int64_t samples() const { return std::ssize(sampled_ids) / std::ssize(tokens); }
  std::span<const TokenId> Prompt(std::int64_t i) const {
    return std::span(prompts).subspan(begins[i], begins[i + 1] - begins[i]);
  }
  std::span<const TokenId> Tokens(std::int64_t i) const {
    return std::span(tokens).subspan(i * kTokens, kTokens);
  }
};

Reference ReadReference(const std::string& file) {
  return {.prompts = TokensIn(file, "prompts"),
          .begins = TokensIn(file, "prompt_begin"),
          .tokens = TokensIn(file, "tokens"),
          .sampled_ids = TokensIn(file, "sampled_ids"),
          .sampled_logits = FloatsIn(file, "sampled_logits")};
}

// The logits from which each of a prompt's tokens is chosen, [kTokens, vocab_size], when the model
// is given Hugging Face's tokens.
std::vector<float> ForcedLogits(LoadedModel& model, const Reference& reference, std::int64_t i) {
  const auto prompt = reference.Prompt(i);
  std::vector<TokenId> ids(prompt.begin(), prompt.end());
  const auto tokens = reference.Tokens(i).first(kTokens - 1);
  ids.insert(ids.end(), tokens.begin(), tokens.end());
  const auto sequence = model.Open(std::ssize(ids));
  const std::vector<float> logits = model.Feed(sequence, ids, kChunk).value();
  model.Close(sequence);
  return {logits.end() - kTokens * model.spec().vocab_size, logits.end()};
}

double LogitError(const Reference& reference, std::int64_t prompt, std::span<const float> logits,
                  std::int64_t vocab_size) {
  const std::int64_t samples = reference.samples();
  std::vector<float> expected, actual;
  for (std::int64_t step = 0; step < kTokens; ++step) {
    for (std::int64_t i = 0; i < samples; ++i) {
      const std::int64_t at = (prompt * kTokens + step) * samples + i;
      expected.push_back(reference.sampled_logits[at]);
      actual.push_back(logits[step * vocab_size + reference.sampled_ids[at]]);
    }
  }
  return RelativeError(expected, actual);
}

std::int64_t Agreeing(std::span<const float> logits, std::span<const float> others,
                      std::int64_t vocab_size) {
  std::int64_t agreeing = 0;
  for (std::int64_t row = 0; row < kTokens; ++row) {
    agreeing += Likeliest(logits.subspan(row * vocab_size, vocab_size)) ==
                Likeliest(others.subspan(row * vocab_size, vocab_size));
  }
  return agreeing;
}

struct Totals {
  std::int64_t identical = 0;  // greedy tokens of fp32
  double logit_error = 0;
  double divergence = 0;  // sum over prompts of the exact class's mean
  std::int64_t agreeing = 0;
};

Totals Compare(LoadedModel& fp32, LoadedModel& exact, const Reference& reference) {
  const std::int64_t vocab_size = fp32.spec().vocab_size;
  Totals totals;
  for (std::int64_t i = 0; i < reference.count(); ++i) {
    const auto tokens = fp32.Greedy(reference.Prompt(i), kTokens, kChunk).value();
    const auto expected = reference.Tokens(i);
    totals.identical +=
        std::mismatch(tokens.begin(), tokens.end(), expected.begin()).first - tokens.begin();
    const auto logits = ForcedLogits(fp32, reference, i);
    const auto exact_logits = ForcedLogits(exact, reference, i);
    totals.logit_error = std::max(totals.logit_error, LogitError(reference, i, logits, vocab_size));
    totals.divergence += MeanDivergence(logits, exact_logits, vocab_size);
    totals.agreeing += Agreeing(logits, exact_logits, vocab_size);
  }
  return totals;
}

std::unique_ptr<LoadedModel> Load(const std::string& path, const std::string& numeric_class) {
  return LoadedModel::Load({.path = path,
                            .numeric_class = numeric_class,
                            .kernels = ChooseCpuKernels(nullptr),
                            .threads = 0})
      .value();
}

int Run(const std::string& model_path, const std::string& reference_path) {
  const Reference reference = ReadReference(reference_path);
  const auto fp32 = Load(model_path, "fp32");
  const auto exact = Load(model_path, "exact");
  const Totals totals = Compare(*fp32, *exact, reference);
  const std::int64_t tokens = reference.count() * kTokens;
  const double divergence = totals.divergence / reference.count();
  std::printf("fp32: %ld of %ld tokens of %ld prompts are Hugging Face's\n", totals.identical,
              tokens, reference.count());
  std::printf("fp32: largest logit error %.1e of the largest logit\n", totals.logit_error);
  std::printf("%s: %.4f nats a token from fp32, %ld of %ld likeliest tokens agree\n",
              exact->numeric_class().ToString().c_str(), divergence, totals.agreeing, tokens);
  const bool good = totals.identical == tokens && totals.logit_error < kLogitTolerance &&
                    divergence < kExactDivergence &&
                    totals.agreeing > kLeastAgreement * static_cast<double>(tokens);
  std::printf("%s\n", good ? "passed" : "FAILED");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace fallow

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: hf_check MODEL.gguf smollm2.safetensors\n");
    return 2;
  }
  try {
    return fallow::Run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "hf_check: %s\n", error.what());
    return 1;
  }
}
