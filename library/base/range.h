// Half-open integer ranges.
#pragma once

#include <cstdint>

namespace fallow {

struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t size() const { return end - begin; }
  friend bool operator==(const Range&, const Range&) = default;
};

// Part `i` of `parts` nearly equal parts of [0, n).
inline Range PartOf(std::int64_t n, std::int64_t i, std::int64_t parts) {
  return {n * i / parts, n * (i + 1) / parts};
}

}  // namespace fallow
