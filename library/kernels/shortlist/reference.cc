// The likeliest tokens, by sorting all; the definition for every arithmetic, since it only
// compares.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/functions.h"
#include "kernels/shortlist/shortlist.h"

namespace fallow::reference {
namespace {

float Tamed(float logit) {
  if (std::isnan(logit)) return -std::numeric_limits<float>::infinity();
  return std::min(logit, std::numeric_limits<float>::max());
}

}  // namespace

void FindShortlist(const ShortlistArgs& args, Range rows) {
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    std::vector<ShortlistEntry> all(args.n);
    for (std::int64_t i = 0; i < args.n; ++i) {
      const float logit = args.logits[row * args.n + i];
      all[i] = {static_cast<std::int32_t>(i), Tamed(logit)};
      if (!std::isfinite(logit)) args.failed[row] = 1;
    }
    std::stable_sort(all.begin(), all.end(), [](const ShortlistEntry& a, const ShortlistEntry& b) {
      return a.logit > b.logit;
    });
    all.resize(args.count);
    std::sort(all.begin(), all.end(),
              [](const ShortlistEntry& a, const ShortlistEntry& b) { return a.id < b.id; });
    std::copy(all.begin(), all.end(), args.best + row * args.count);
  }
}

}  // namespace fallow::reference

namespace fallow::exact {

void FindShortlist(const ShortlistArgs& args, Range rows) { reference::FindShortlist(args, rows); }

}  // namespace fallow::exact
