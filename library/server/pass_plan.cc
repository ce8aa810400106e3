#include "server/pass_plan.h"

#include <algorithm>

namespace fallow {

std::vector<std::int64_t> PlanPass(std::span<const std::int64_t> waiting, std::size_t first,
                                   const PassBounds& bounds) {
  std::vector<std::int64_t> taken(waiting.size());
  const bool prefills =
      std::any_of(waiting.begin(), waiting.end(), [](std::int64_t rows) { return rows > 1; });
  const std::int64_t reserved = prefills ? std::min(bounds.prefill_rows, bounds.rows / 2) : 0;
  const auto take = [&](bool prefill, std::int64_t left) {
    const std::int64_t before = left;
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      const std::size_t sequence = (first + i) % waiting.size();
      if ((waiting[sequence] > 1) != prefill) continue;
      taken[sequence] = std::min(waiting[sequence], left);
      left -= taken[sequence];
    }
    return before - left;
  };
  const std::int64_t decoded = take(/*prefill=*/false, bounds.rows - reserved);
  take(/*prefill=*/true, std::min(bounds.prefill_rows, bounds.rows - decoded));
  return taken;
}

}  // namespace fallow
