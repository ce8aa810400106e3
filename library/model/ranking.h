// Candidates for the next token, best first, sorted only as far as somebody looks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "fallow/model_spec.h"

namespace fallow {

struct Candidate {
  TokenId id = 0;
  float logit = 0;
  double weight = 0;  // probability, but for a factor that all candidates share
};

// `Before` is a strict total order, so what is seen does not depend on how it was sorted.
template <typename Before>
class Ranking {
 public:
  Ranking(std::vector<Candidate> candidates, Before before)
      : candidates_(std::move(candidates)), before_(std::move(before)) {}

  std::size_t size() const { return candidates_.size(); }

  const Candidate& operator[](std::size_t rank) {
    if (rank >= sorted_) SortTo(std::max(rank + 1, 8 * sorted_ + 64));
    return candidates_[rank];
  }

  // The first `count` (or all if there are fewer), in order.
  std::vector<Candidate> Best(std::size_t count) && {
    count = std::min(count, candidates_.size());
    if (count > sorted_) SortTo(count);
    candidates_.resize(count);
    return std::move(candidates_);
  }

 private:
  // A heap of the best finds a few of many in one pass, most of it one comparison a candidate.
  static constexpr int kFewOf = 50;

  void SortTo(std::size_t count) {
    const auto begin = candidates_.begin() + sorted_;
    sorted_ = std::min(count, candidates_.size());
    const auto end = candidates_.begin() + sorted_;
    if (candidates_.end() - end > kFewOf * (end - begin)) {
      std::partial_sort(begin, end, candidates_.end(), before_);
      return;
    }
    if (end != candidates_.end()) std::nth_element(begin, end, candidates_.end(), before_);
    std::sort(begin, end, before_);
  }

  std::vector<Candidate> candidates_;
  Before before_;
  std::size_t sorted_ = 0;  // the first ones are in their final order
};

}  // namespace fallow
