#include "client/blame.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace fallow {
namespace {

bool Computes(const HopReport& hop) {
  return hop.rows_done < hop.rows_received && hop.rows_unsent == 0;
}

}  // namespace

std::optional<Blame> FindBlame(std::span<const HopReport> reports, bool overdue) {
  for (std::size_t i = 0; i < reports.size(); ++i) {
    if (!reports[i].answered) return Blame{i, "did not answer a beat"};
  }
  if (!overdue) return std::nullopt;
  for (std::size_t i = 0; i < reports.size(); ++i) {
    const HopReport& hop = reports[i];
    if (Computes(hop)) {
      return Blame{i,
                   absl::StrCat("received ", hop.rows_received, " rows, finished ", hop.rows_done)};
    }
  }
  return std::nullopt;
}

bool AllIdle(std::span<const HopReport> reports) {
  return std::none_of(reports.begin(), reports.end(), Computes);
}

std::size_t BehindWidestGap(std::span<const HopReport> reports) {
  std::size_t behind = reports.back().rows_received > 0 ? reports.size() - 1 : 0;
  std::uint64_t widest = 0;
  for (std::size_t i = 0; i + 1 < reports.size(); ++i) {
    const std::uint64_t computed = reports[i].rows_done + reports[i].rows_unsent;
    const std::uint64_t received = reports[i + 1].rows_received;
    if (computed > received && computed - received > widest) {
      widest = computed - received;
      behind = i + 1;
    }
  }
  return behind;
}

}  // namespace fallow
