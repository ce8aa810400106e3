#include "model/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/philox.h"
#include "base/status_macros.h"
#include "kernels/kernel_table.h"
#include "model/ranking.h"

namespace fallow {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

absl::Status CheckField(bool ok, std::string_view name, double value, std::string_view allowed) {
  if (ok) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("sampling: ", std::string(name), " is ", value,
                                                 ", expected ", std::string(allowed)));
}

absl::Status CheckBadWords(const SamplingOptions& options, int vocab_size) {
  for (const std::vector<TokenId>& word : options.bad_words) {
    if (word.empty()) {
      return absl::InvalidArgumentError("sampling: bad_words has an empty sequence");
    }
    for (TokenId id : word) {
      FALLOW_RETURN_IF_ERROR(CheckField(id >= 0 && id < vocab_size, "a token in bad_words", id,
                                        absl::StrCat("0 to ", vocab_size - 1)));
    }
  }
  return absl::OkStatus();
}

constexpr int kExpTerms = 15;
constexpr auto kInverseFactorial = [] {
  std::array<double, kExpTerms> inverse{1};
  for (int k = 1; k < kExpTerms; ++k) inverse[k] = inverse[k - 1] / k;
  return inverse;
}();

// e^x for x <= 0 in plain double operations, so that every machine has the same bits (libm's do
// not); 0 below -708, where results would be subnormal. Relative error below 1e-15.
double Exp(double x) {
  if (!(x >= -708)) return 0;
  const double n = std::floor(x * 0x1.71547652b82fep+0 + 0.5);
  const double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;  // ln 2 in two parts
  double sum = kInverseFactorial.back();
  for (int k = kExpTerms - 2; k >= 0; --k) sum = sum * r + kInverseFactorial[k];
  return sum * std::bit_cast<double>(static_cast<std::uint64_t>(1023 + static_cast<int>(n)) << 52);
}

bool Penalises(const SamplingOptions& options) {
  return options.repetition_penalty != 1 || options.frequency_penalty != 0 ||
         options.presence_penalty != 0;
}

void Penalise(std::span<float> logits, const SamplingOptions& options,
              std::span<const TokenId> history, std::size_t prompt) {
  const auto in_vocabulary = [&](TokenId id) {
    return id >= 0 && id < static_cast<TokenId>(logits.size());
  };
  std::vector<int> generated(logits.size());  // times
  for (std::size_t i = prompt; i < history.size(); ++i) {
    if (in_vocabulary(history[i])) ++generated[history[i]];
  }
  std::vector<bool> penalised(logits.size());
  for (const TokenId id : history) {
    if (!in_vocabulary(id) || penalised[id]) continue;
    penalised[id] = true;
    double logit = logits[id];
    logit = logit > 0 ? logit / options.repetition_penalty : logit * options.repetition_penalty;
    if (generated[id] > 0) {
      logit -= options.frequency_penalty * generated[id] + options.presence_penalty;
    }
    logits[id] = static_cast<float>(logit);
  }
}

void BanBadWords(std::span<float> logits, const SamplingOptions& options,
                 std::span<const TokenId> history) {
  for (const std::vector<TokenId>& word : options.bad_words) {
    const std::size_t before = word.size() - 1;
    if (before > history.size()) continue;
    if (std::equal(word.begin(), word.end() - 1, history.end() - before)) {
      logits[word.back()] = kNever;
    }
  }
}

bool MoreLikely(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

// The candidates and the sum of their weights, which are relative to the best one's.
struct Distribution {
  std::vector<Candidate> candidates;
  double total = 0;
};

Distribution Candidates(std::vector<Candidate> possible, double best,
                        const SamplingOptions& options) {
  if (options.top_k > 0) possible = Ranking(std::move(possible), MoreLikely).Best(options.top_k);
  Distribution kept{std::move(possible), 0};
  for (Candidate& candidate : kept.candidates) {
    candidate.weight = Exp((candidate.logit - best) / options.temperature);
    kept.total += candidate.weight;
  }
  return kept;
}

// The shortest start of the ranking that has at least `share` of the total weight, and no more
// after one for which `keep` is false. Never empty.
template <typename Before, typename Keep>
Distribution BestOf(Distribution from, Before before, double share, Keep keep) {
  Ranking ranking(std::move(from.candidates), before);
  const double enough = share * from.total;
  std::size_t count = 1;
  double sum = ranking[0].weight;
  while (count < ranking.size() && (share >= 1 || sum < enough) && keep(ranking[count])) {
    sum += ranking[count++].weight;
  }
  return {std::move(ranking).Best(count), sum};
}

// How far each candidate's information, -log p, is from the entropy. With log p = s - log total,
// where s = (logit - best) / temperature, the logarithm cancels out.
class Surprise {
 public:
  Surprise(const Distribution& distribution, double best, double temperature)
      : best_(best), temperature_(temperature) {
    for (const Candidate& candidate : distribution.candidates) {
      if (candidate.weight > 0) mean_ += candidate.weight / distribution.total * Score(candidate);
    }
  }
  bool operator()(const Candidate& a, const Candidate& b) const {
    const double distance_a = std::abs(mean_ - Score(a));
    const double distance_b = std::abs(mean_ - Score(b));
    return distance_a < distance_b || (distance_a == distance_b && MoreLikely(a, b));
  }

 private:
  double Score(const Candidate& candidate) const {
    return (candidate.logit - best_) / temperature_;
  }

  double best_;
  double temperature_;
  double mean_ = 0;
};

Distribution Warp(Distribution from, const SamplingOptions& options, double best) {
  if (options.top_p < 1 || options.min_p > 0) {
    from = BestOf(std::move(from), MoreLikely, options.top_p,
                  [&](const Candidate& candidate) { return candidate.weight >= options.min_p; });
  }
  if (options.typical_p < 1) {
    const Surprise surprise(from, best, options.temperature);
    from =
        BestOf(std::move(from), surprise, options.typical_p, [](const Candidate&) { return true; });
  }
  return from;
}

// In [0, 1), with 53 random bits.
double Uniform(std::uint64_t seed, std::uint64_t position, std::uint32_t sequence) {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  const auto random =
      Philox4x32({low(position), low(position >> 32), sequence, 0}, {low(seed), low(seed >> 32)});
  return ((random[0] >> 5) * 0x1p26 + (random[1] >> 6)) * 0x1p-53;
}

TokenId Draw(Distribution distribution, double uniform) {
  const double target = uniform * distribution.total;
  Ranking ranking(std::move(distribution.candidates), MoreLikely);
  double sum = ranking[0].weight;
  std::size_t rank = 0;
  while (sum <= target && rank + 1 < ranking.size() && ranking[rank + 1].weight > 0) {
    sum += ranking[++rank].weight;
  }
  return ranking[rank].id;
}

}  // namespace

absl::Status Validate(const SamplingOptions& options, int vocab_size) {
  const auto positive = [](double x) { return x > 0 && std::isfinite(x); };
  const auto share = [](double x) { return x > 0 && x <= 1; };
  FALLOW_RETURN_IF_ERROR(CheckField(positive(options.temperature), "temperature",
                                    options.temperature, "a finite number above 0"));
  FALLOW_RETURN_IF_ERROR(CheckField(options.top_k >= 0, "top_k", options.top_k, "0 (all) or more"));
  FALLOW_RETURN_IF_ERROR(
      CheckField(share(options.top_p), "top_p", options.top_p, "above 0, at most 1"));
  FALLOW_RETURN_IF_ERROR(CheckField(options.min_p >= 0 && options.min_p < 1, "min_p", options.min_p,
                                    "0 or more, below 1"));
  FALLOW_RETURN_IF_ERROR(
      CheckField(share(options.typical_p), "typical_p", options.typical_p, "above 0, at most 1"));
  FALLOW_RETURN_IF_ERROR(CheckField(positive(options.repetition_penalty), "repetition_penalty",
                                    options.repetition_penalty, "a finite number above 0"));
  FALLOW_RETURN_IF_ERROR(CheckField(std::isfinite(options.frequency_penalty), "frequency_penalty",
                                    options.frequency_penalty, "a finite number"));
  FALLOW_RETURN_IF_ERROR(CheckField(std::isfinite(options.presence_penalty), "presence_penalty",
                                    options.presence_penalty, "a finite number"));
  return CheckBadWords(options, vocab_size);
}

bool LooksAtHistory(const SamplingOptions& options) {
  return Penalises(options) || !options.bad_words.empty();
}

int CandidatesNeeded(const SamplingOptions& options) {
  if (LooksAtHistory(options)) return 0;
  return options.do_sample ? options.top_k : 1;
}

TokenId SampleToken(std::span<const ShortlistEntry> shortlist, const SamplingOptions& options,
                    std::uint64_t position, std::uint32_t sequence) {
  std::vector<Candidate> possible;
  possible.reserve(shortlist.size());
  const ShortlistEntry* best = &shortlist.front();
  for (const ShortlistEntry& entry : shortlist) {
    if (entry.logit > best->logit) best = &entry;
    if (entry.logit != kNever) possible.push_back({entry.id, entry.logit, 0});
  }
  if (!options.do_sample || possible.empty()) return best->id;
  Distribution distribution = Candidates(std::move(possible), best->logit, options);
  return Draw(Warp(std::move(distribution), options, best->logit),
              Uniform(options.seed, position, sequence));
}

TokenId SampleToken(std::span<float> logits, const SamplingOptions& options,
                    std::span<const TokenId> history, std::size_t prompt, std::uint32_t sequence) {
  if (Penalises(options)) Penalise(logits, options, history, prompt);
  BanBadWords(logits, options, history);
  const std::size_t needed = options.do_sample ? options.top_k : 1;
  const std::size_t count = needed > 0 ? std::min(needed, logits.size()) : logits.size();
  std::vector<ShortlistEntry> best(count);
  std::uint8_t not_finite = 0;
  ChooseCpuKernels(nullptr)->shortlist({.logits = logits.data(),
                                        .rows = 1,
                                        .n = std::ssize(logits),
                                        .count = std::ssize(best),
                                        .best = best.data(),
                                        .failed = &not_finite},
                                       {0, 1});
  return SampleToken(best, options, history.size(), sequence);
}

}  // namespace fallow
