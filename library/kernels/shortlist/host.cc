// The likeliest tokens on the host. Most blocks of logits have none of them, and only the largest
// of each is looked at.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>

#include "kernels/shortlist/shortlist.h"

namespace fallow {
namespace {

constexpr std::size_t kBlock = 64;
constexpr std::size_t kLanes = 16;  // whole vectors, whatever the instruction set
constexpr float kNever = -std::numeric_limits<float>::infinity();

bool Before(const ShortlistEntry& a, const ShortlistEntry& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

float Tamed(float logit) {
  if (!(logit > kNever)) return kNever;
  return std::min(logit, std::numeric_limits<float>::max());
}

// The largest of a block; NaN is passed over. `probe` becomes NaN if some number is not finite.
float Largest(std::span<const float> block, float& probe) {
  std::array<float, kLanes> largest;
  std::array<float, kLanes> zeros{};
  largest.fill(kNever);
  std::size_t i = 0;
  for (; i + kLanes <= block.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      largest[lane] = std::max(largest[lane], block[i + lane]);
      zeros[lane] += block[i + lane] * 0;
    }
  }
  for (; i < block.size(); ++i) {
    largest[0] = std::max(largest[0], block[i]);
    zeros[0] += block[i] * 0;
  }
  for (const float zero : zeros) probe += zero;
  return *std::max_element(largest.begin(), largest.end());
}

// best is a heap with the least of its entries in front once it is full; at the end it is sorted.
// True if all logits are finite.
bool FindInRow(std::span<const float> logits, std::span<ShortlistEntry> best) {
  float probe = 0;
  std::size_t found = 0;
  for (std::size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const std::span block = logits.subspan(begin, std::min(kBlock, logits.size() - begin));
    const float largest = Tamed(Largest(block, probe));
    if (found == best.size() && !(largest > best[0].logit)) continue;
    for (std::size_t i = 0; i < block.size(); ++i) {
      const ShortlistEntry entry{static_cast<std::int32_t>(begin + i), Tamed(block[i])};
      if (found < best.size()) {
        best[found++] = entry;
        if (found == best.size() && found < logits.size()) {
          std::make_heap(best.begin(), best.end(), Before);
        }
      } else if (entry.logit > best[0].logit) {
        std::pop_heap(best.begin(), best.end(), Before);
        best.back() = entry;
        std::push_heap(best.begin(), best.end(), Before);
      }
    }
  }
  if (best.size() == logits.size()) return std::isfinite(probe);  // all, never moved
  std::sort(best.begin(), best.end(),
            [](const ShortlistEntry& a, const ShortlistEntry& b) { return a.id < b.id; });
  return std::isfinite(probe);
}

}  // namespace

void FindShortlist(const ShortlistArgs& args, Range rows) {
  const auto n = static_cast<std::size_t>(args.n);
  const auto count = static_cast<std::size_t>(args.count);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    if (!FindInRow({args.logits + row * args.n, n}, {args.best + row * args.count, count})) {
      args.failed[row] = 1;
    }
  }
}

}  // namespace fallow
