#include "report.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "nlohmann/json.hpp"

namespace fallow {

void Report::Add(const Figure& figure) const {
  const double ratio = figure.value / figure.limit;
  if (json_) {
    const nlohmann::ordered_json line = {{"name", figure.name}, {"value", figure.value},
                                         {"unit", figure.unit}, {"limit", figure.limit},
                                         {"ratio", ratio},      {"limit_is", figure.limit_is}};
    std::puts(line.dump().c_str());
  } else {
    std::printf("%-44s %10.2f %-9s of %10.2f = %5.2f  (%s)\n", figure.name.c_str(), figure.value,
                figure.unit.c_str(), figure.limit, ratio, figure.limit_is.c_str());
  }
  std::fflush(stdout);
}

double Median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double Now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

}  // namespace fallow
