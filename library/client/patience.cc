#include "client/patience.h"

#include <algorithm>

namespace fallow {
namespace {

constexpr std::int64_t kManyRows = 16;  // from here on a pass's time grows with its rows
constexpr int kUsualPasses = 8;
constexpr absl::Duration kLeast = absl::Seconds(1);

void Smooth(absl::Duration& average, absl::Duration sample) {
  average = average == absl::ZeroDuration() ? sample : average + (sample - average) / 8;
}

}  // namespace

void Patience::Observe(std::int64_t rows, absl::Duration took) {
  if (rows <= 0 || took < absl::ZeroDuration()) return;
  if (rows < kManyRows) {
    Smooth(pass_, took);
  } else {
    Smooth(row_, took / rows);
  }
}

absl::Duration Patience::ForRows(std::int64_t rows) const {
  absl::Duration usual = std::max(pass_, row_ * rows);
  const bool unknown =
      rows < kManyRows ? usual == absl::ZeroDuration() : row_ == absl::ZeroDuration();
  if (unknown && pass_ == absl::ZeroDuration()) return absl::InfiniteDuration();
  if (unknown) usual = pass_ * rows;  // one after another: an upper bound
  return std::max(kLeast, usual * kUsualPasses);
}

}  // namespace fallow
