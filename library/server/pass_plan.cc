#include "server/pass_plan.h"

#include <algorithm>

#include "server/limits.h"

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

std::int64_t PrefillRowsBesideDecoding(std::int64_t rows, absl::Duration elapsed) {
  if (elapsed <= absl::ZeroDuration()) return kPrefillRows;
  constexpr double kSpare = 0.75;  // not all rows take as long as the last ones did
  const double fit =
      kSpare * static_cast<double>(rows) * absl::FDivDuration(kDecodersWait, elapsed);
  return static_cast<std::int64_t>(
      std::clamp(fit, double{kLeastPrefillRows}, double{kPrefillRows}));
}

}  // namespace fallow
