#include "model/sampler.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "kernels/kernel_table.h"

namespace fallow {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Logits whose softmax is proportional to `weights`.
std::vector<float> LogitsOf(const std::vector<double>& weights) {
  std::vector<float> logits;
  for (double weight : weights) logits.push_back(static_cast<float>(std::log(weight)));
  return logits;
}

TokenId Greedy(std::vector<float> logits, SamplingOptions options = {},
               std::vector<TokenId> history = {}, std::size_t prompt = 0) {
  options.do_sample = false;
  return SampleToken(logits, options, history, prompt, 0);
}

// How often each token is drawn. Draws differ by the sequence's number.
std::vector<int> Counts(const std::vector<float>& logits, SamplingOptions options, int draws,
                        const std::vector<TokenId>& history = {}) {
  options.do_sample = true;
  std::vector<int> counts(logits.size());
  for (int draw = 0; draw < draws; ++draw) {
    std::vector<float> scratch = logits;
    ++counts[SampleToken(scratch, options, history, history.size(), draw)];
  }
  return counts;
}

std::set<TokenId> Support(const std::vector<double>& weights, const SamplingOptions& options) {
  const std::vector<int> counts = Counts(LogitsOf(weights), options, 2000);
  std::set<TokenId> support;
  for (std::size_t id = 0; id < counts.size(); ++id) {
    if (counts[id] > 0) support.insert(static_cast<TokenId>(id));
  }
  return support;
}

// Chi-square of counts against a distribution; tokens of weight 0 must not occur.
double ChiSquare(const std::vector<int>& counts, const std::vector<double>& weights) {
  const double draws = std::accumulate(counts.begin(), counts.end(), 0.0);
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  double sum = 0;
  for (std::size_t id = 0; id < counts.size(); ++id) {
    if (weights[id] == 0) {
      CHECK(counts[id] == 0);
      continue;
    }
    const double expected = draws * weights[id] / total;
    sum += (counts[id] - expected) * (counts[id] - expected) / expected;
  }
  return sum;
}

TEST_CASE("greedy takes the largest logit, ties to the lower id", "[model][sampler]") {
  CHECK(Greedy({1, 3, 2}) == 1);
  CHECK(Greedy({1, 3, 3}) == 1);
  CHECK(Greedy({-0.0f, 0.0f}) == 0);
  CHECK(Greedy({kNan, -5, kNan}) == 1);
  CHECK(Greedy({kNan, -kInfinity, kNan}) == 0);
  CHECK(Greedy({1, kInfinity, 2}) == 1);
}

TEST_CASE("penalties change greedy choices as documented", "[model][sampler]") {
  // HF: a positive score is divided, a negative multiplied, once however often the token occurs.
  CHECK(Greedy({3, 2}, {.repetition_penalty = 1.6}, {0, 0, 0}, 3) == 1);
  CHECK(Greedy({3, 2}, {.repetition_penalty = 1.4}, {0, 0, 0}, 3) == 0);
  CHECK(Greedy({-2, -3}, {.repetition_penalty = 1.6}, {0}, 1) == 1);
  CHECK(Greedy({-2, -3}, {.repetition_penalty = 1.4}, {0}, 1) == 0);
  // Frequency counts every generated occurrence, presence the first; neither counts the prompt.
  CHECK(Greedy({3, 2}, {.frequency_penalty = 0.6}, {0, 0}, 0) == 1);
  CHECK(Greedy({3, 2}, {.frequency_penalty = 0.6}, {0, 0}, 1) == 0);
  CHECK(Greedy({3, 2}, {.presence_penalty = 0.9}, {0, 0}, 0) == 0);
  CHECK(Greedy({3, 2}, {.presence_penalty = 1.1}, {0}, 0) == 1);
  CHECK(Greedy({3, 2}, {.presence_penalty = 1.1}, {0}, 1) == 0);
  // Repetition first, then the subtraction: 4 / 2 - 0.5 = 1.5.
  const SamplingOptions both{.repetition_penalty = 2, .presence_penalty = 0.5};
  CHECK(Greedy({4, 1.6f}, both, {0}, 0) == 1);
  CHECK(Greedy({4, 1.4f}, both, {0}, 0) == 0);
}

TEST_CASE("bad words are not completed", "[model][sampler]") {
  CHECK(Greedy({3, 2, 1}, {.bad_words = {{0}}}) == 1);
  const SamplingOptions sequence{.bad_words = {{2, 1, 0}}};
  CHECK(Greedy({3, 2, 1}, sequence, {2, 1}, 2) == 1);
  CHECK(Greedy({3, 2, 1}, sequence, {0, 2, 1}, 1) == 1);
  CHECK(Greedy({3, 2, 1}, sequence, {2, 1, 1}, 3) == 0);
  CHECK(Greedy({3, 2, 1}, sequence, {1}, 1) == 0);
  CHECK(Greedy({3, 2, 1}, {.bad_words = {{0}, {1}, {2}}}) == 0);
  CHECK(Counts({3, 2, 1}, {.bad_words = {{0}, {1}, {2}}}, 10) == std::vector<int>{10, 0, 0});
  CHECK(Counts({3, 2, 1}, {.bad_words = {{0}, {2}}}, 10) == std::vector<int>{0, 10, 0});
}

// 99.9 % quantiles of chi-square: 4 degrees of freedom 18.5, 3: 16.3, 2: 13.8, 1: 10.8.
TEST_CASE("draws follow the distribution", "[model][sampler]") {
  const std::vector<double> weights = {1, 5, 2, 8, 4};
  const std::vector<float> logits = LogitsOf(weights);
  const int draws = 20000;
  CHECK(ChiSquare(Counts(logits, {.seed = 1}, draws), weights) < 18.5);
  CHECK(ChiSquare(Counts(logits, {.top_k = 3, .seed = 2}, draws), {0, 5, 0, 8, 4}) < 13.8);
  CHECK(ChiSquare(Counts(logits, {.top_p = 0.7, .seed = 3}, draws), {0, 5, 0, 8, 4}) < 13.8);
  CHECK(ChiSquare(Counts(logits, {.min_p = 0.3, .seed = 4}, draws), {0, 5, 0, 8, 4}) < 13.8);
  CHECK(ChiSquare(Counts(logits, {.temperature = 0.5, .seed = 5}, draws), {1, 25, 4, 64, 16}) <
        18.5);
  CHECK(ChiSquare(
            Counts(logits, {.temperature = 0.5, .repetition_penalty = 1e-9, .seed = 6}, draws, {}),
            {1, 25, 4, 64, 16}) < 18.5);
  // The same draws do not follow another distribution.
  CHECK(ChiSquare(Counts(logits, {.temperature = 1.2, .seed = 1}, draws), weights) > 50);
}

TEST_CASE("top_k keeps exactly k, ties to the lower id", "[model][sampler]") {
  const std::vector<double> weights = {2, 3, 2, 2};
  CHECK(Support(weights, {.top_k = 1}) == std::set<TokenId>{1});
  CHECK(Support(weights, {.top_k = 3}) == std::set<TokenId>{0, 1, 2});
  CHECK(Support(weights, {.top_k = 0}) == std::set<TokenId>{0, 1, 2, 3});
  CHECK(Support(weights, {.top_k = 100}) == std::set<TokenId>{0, 1, 2, 3});
}

TEST_CASE("top_p keeps the smallest set that reaches it", "[model][sampler]") {
  const std::vector<double> weights = {8, 32, 16, 4, 2};  // of 62: 0.129 0.516 0.258 0.065 0.032
  CHECK(Support(weights, {.top_p = 1e-6}) == std::set<TokenId>{1});
  CHECK(Support(weights, {.top_p = 0.51}) == std::set<TokenId>{1});
  CHECK(Support(weights, {.top_p = 0.52}) == std::set<TokenId>{1, 2});
  CHECK(Support(weights, {.top_p = 0.77}) == std::set<TokenId>{1, 2});
  CHECK(Support(weights, {.top_p = 0.78}) == std::set<TokenId>{0, 1, 2});
  CHECK(Support(weights, {.top_p = 0.9}) == std::set<TokenId>{0, 1, 2});
  CHECK(Support(weights, {.top_p = 1}) == std::set<TokenId>{0, 1, 2, 3, 4});
  // After top_k the probabilities are of what it left: 32/48 and 16/48.
  CHECK(Support(weights, {.top_k = 2, .top_p = 0.6}) == std::set<TokenId>{1});
}

TEST_CASE("min_p is relative to the largest probability", "[model][sampler]") {
  const std::vector<double> weights = {8, 32, 16, 4, 2};
  CHECK(Support(weights, {.min_p = 0.51}) == std::set<TokenId>{1});
  CHECK(Support(weights, {.min_p = 0.49}) == std::set<TokenId>{1, 2});
  CHECK(Support(weights, {.min_p = 0.12}) == std::set<TokenId>{0, 1, 2, 3});
  CHECK(Support(weights, {.top_p = 0.6, .min_p = 0.1}) == std::set<TokenId>{1, 2});
}

TEST_CASE("typical_p keeps what is closest to the entropy", "[model][sampler]") {
  // Entropy of (0.5, 0.25, 0.125, 0.125) is 1.75 bits; -log2 p is 1, 2, 3, 3: distances 0.75, 0.25,
  // 1.25, 1.25. So the second token comes first, then the first.
  const std::vector<double> weights = {8, 4, 2, 2};
  CHECK(Support(weights, {.typical_p = 0.2}) == std::set<TokenId>{1});
  CHECK(Support(weights, {.typical_p = 0.3}) == std::set<TokenId>{0, 1});
  CHECK(Support(weights, {.typical_p = 0.74}) == std::set<TokenId>{0, 1});
  CHECK(Support(weights, {.typical_p = 0.8}) == std::set<TokenId>{0, 1, 2});
  CHECK(Support(weights, {.typical_p = 0.95}) == std::set<TokenId>{0, 1, 2, 3});
  // At half the temperature: p = (64, 16, 4, 4) / 88, entropy 1.177 bits, distances 0.72, 1.28, ...
  CHECK(Support(weights, {.temperature = 0.5, .typical_p = 0.5}) == std::set<TokenId>{0});
}

TEST_CASE("extreme temperatures are greedy or uniform", "[model][sampler]") {
  const std::vector<float> logits = {1, 3, 2.999f, -100};
  for (double temperature : {1e-9, 1e-300, 4.9e-324}) {
    CHECK(Counts(logits, {.temperature = temperature}, 100) == std::vector<int>{0, 100, 0, 0});
  }
  CHECK(ChiSquare(Counts(logits, {.temperature = 1e300}, 20000), {1, 1, 1, 1}) < 16.3);
  CHECK(Counts({1, kInfinity, kNan, -kInfinity}, {}, 50) == std::vector<int>{0, 50, 0, 0});
  CHECK(ChiSquare(Counts({2, kNan, 2, -kInfinity}, {}, 20000), {1, 0, 1, 0}) < 10.8);
  CHECK(Counts({kNan, kNan}, {}, 50) == std::vector<int>{50, 0});
}

TEST_CASE("a draw depends on seed, position and sequence only", "[model][sampler]") {
  std::vector<float> logits(1000);
  const auto draw = [&](std::uint64_t seed, std::size_t position, std::uint32_t sequence) {
    std::vector<float> scratch = logits;
    return SampleToken(scratch, {.do_sample = true, .seed = seed},
                       std::vector<TokenId>(position, 1), 0, sequence);
  };
  CHECK(draw(1, 2, 3) == draw(1, 2, 3));
  CHECK(draw(1, 2, 3) != draw(2, 2, 3));
  CHECK(draw(1, 2, 3) != draw(std::uint64_t{1} << 32 | 1, 2, 3));
  CHECK(draw(1, 2, 3) != draw(1, 3, 3));
  CHECK(draw(1, 2, 3) != draw(1, 2, 4));
}

// The definition, with everything sorted.
TokenId SortedSample(const std::vector<float>& logits, const SamplingOptions& options,
                     double uniform) {
  std::vector<TokenId> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int a, int b) { return logits[a] > logits[b]; });
  if (options.top_k > 0) ids.resize(std::min<std::size_t>(ids.size(), options.top_k));
  const auto weight = [&](TokenId id) {
    return std::exp((static_cast<double>(logits[id]) - logits[ids[0]]) / options.temperature);
  };
  const auto total = [&] {
    return std::accumulate(ids.begin(), ids.end(), 0.0,
                           [&](double sum, TokenId id) { return sum + weight(id); });
  };
  const double enough = options.top_p * total();
  std::size_t kept = 0;
  for (double sum = 0; kept < ids.size() && (kept == 0 || sum < enough); ++kept) {
    sum += weight(ids[kept]);
  }
  if (options.top_p < 1) ids.resize(kept);
  std::erase_if(ids, [&](TokenId id) { return weight(id) < options.min_p; });
  const double target = uniform * total();
  double sum = 0;
  for (TokenId id : ids) {
    sum += weight(id);
    if (sum > target) return id;
  }
  return ids.back();
}

TEST_CASE("partial sorting draws what full sorting would", "[model][sampler]") {
  std::mt19937 random(11);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> logits(5000);
  for (float& logit : logits) logit = std::round(normal(random) * 64) / 64;  // many ties
  const bool spread = GENERATE(true, false);
  if (!spread) std::sort(logits.begin(), logits.end());
  // With one token per unit of weight, the draw of a flat distribution shows the random number.
  std::vector<double> uniform;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<float> flat(1 << 20);
    const SamplingOptions options{.do_sample = true, .seed = seed};
    uniform.push_back((SampleToken(flat, options, {}, 0, 0) + 0.5) / flat.size());
  }
  const SamplingOptions cases[] = {{},
                                   {.top_k = 1},
                                   {.top_k = 50},
                                   {.top_k = 78},
                                   {.top_k = 79},
                                   {.top_k = 700},
                                   {.top_p = 0.95},
                                   {.min_p = 0.01},
                                   {.temperature = 3, .top_k = 4000, .top_p = 0.99, .min_p = 1e-3}};
  for (SamplingOptions options : cases) {
    options.do_sample = true;
    int same = 0;
    for (std::size_t seed = 0; seed < uniform.size(); ++seed) {
      options.seed = seed;
      std::vector<float> scratch = logits;
      same +=
          SampleToken(scratch, options, {}, 0, 0) == SortedSample(logits, options, uniform[seed]);
    }
    CHECK(same == std::ssize(uniform));
  }
}

// The `count` largest, by id.
std::vector<ShortlistEntry> ShortlistOf(const std::vector<float>& logits, std::int64_t count) {
  std::vector<ShortlistEntry> shortlist(count);
  std::uint8_t failed = 0;
  kReferenceKernels.shortlist({.logits = logits.data(),
                               .rows = 1,
                               .n = std::ssize(logits),
                               .count = count,
                               .best = shortlist.data(),
                               .failed = &failed},
                              {0, 1});
  return shortlist;
}

TEST_CASE("a shortlist draws what all logits would", "[model][sampler]") {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> logits(3000);
  for (float& logit : logits) logit = std::round(normal(random) * 16) / 16;  // many ties
  std::vector<float> few(3000, -kInfinity);  // fewer tokens are possible than are asked for
  few[7] = few[70] = few[700] = 1;
  const SamplingOptions cases[] = {
      {.do_sample = false},
      {.do_sample = true, .top_k = 1},
      {.do_sample = true, .top_k = 50},
      {.do_sample = true, .temperature = 2, .top_k = 200, .top_p = 0.9},
      {.do_sample = true, .top_k = 64, .min_p = 0.2},
      {.do_sample = true, .top_k = 90, .typical_p = 0.7},
      {.do_sample = true, .top_k = 3000}};
  for (SamplingOptions options : cases) {
    const int needed = CandidatesNeeded(options);
    REQUIRE(needed == (options.do_sample ? options.top_k : 1));
    for (const std::vector<float>& from : {logits, few}) {
      for (const std::int64_t count : {needed, std::min(needed + 13, 3000)}) {
        const std::vector<ShortlistEntry> shortlist = ShortlistOf(from, count);
        for (options.seed = 0; options.seed < 50; ++options.seed) {
          CAPTURE(options.top_k, count, options.seed);
          const std::vector<TokenId> history(options.seed);  // of the position's length
          std::vector<float> scratch = from;
          CHECK(SampleToken(shortlist, options, history.size(), 3) ==
                SampleToken(scratch, options, history, 0, 3));
        }
      }
    }
  }
}

TEST_CASE("what looks at other logits needs all of them", "[model][sampler]") {
  CHECK(CandidatesNeeded({.do_sample = true}) == 0);
  CHECK(CandidatesNeeded({.do_sample = true, .top_p = 0.5}) == 0);
  CHECK(CandidatesNeeded({.do_sample = false, .repetition_penalty = 1.1}) == 0);
  CHECK(CandidatesNeeded({.do_sample = true, .top_k = 5, .presence_penalty = 1}) == 0);
  CHECK(CandidatesNeeded({.do_sample = false, .bad_words = {{1}}}) == 0);
}

TEST_CASE("options out of range are named", "[model][sampler]") {
  const SamplingOptions bad[] = {{.temperature = 0},
                                 {.temperature = -1},
                                 {.temperature = std::numeric_limits<double>::infinity()},
                                 {.temperature = std::nan("")},
                                 {.top_k = -1},
                                 {.top_p = 0},
                                 {.top_p = 1.01},
                                 {.top_p = std::nan("")},
                                 {.min_p = 1},
                                 {.min_p = -0.1},
                                 {.typical_p = 0},
                                 {.typical_p = 2},
                                 {.repetition_penalty = 0},
                                 {.frequency_penalty = std::nan("")},
                                 {.presence_penalty = std::nan("")},
                                 {.bad_words = {{}}},
                                 {.bad_words = {{1, 10}}},
                                 {.bad_words = {{-1}}}};
  for (const SamplingOptions& options : bad) {
    CHECK(Validate(options, 10).code() == absl::StatusCode::kInvalidArgument);
  }
  CHECK(Validate({}, 10).ok());
  CHECK(Validate({.top_p = 1e-9, .min_p = 0.999, .bad_words = {{0, 9}}}, 10).ok());
  CHECK(std::string(Validate({.top_p = 1.5}, 10).message()) ==
        "sampling: top_p is 1.5, expected above 0, at most 1");
}

}  // namespace
}  // namespace fallow
