// What this machine reaches: the limits beside which profiles and benchmarks stand.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/worker_pool.h"
#include "kernels/numeric.h"

namespace fallow {

// Memory to read. Larger than the caches, it gives the bandwidth that weights can be read at.
class ReadLimit {
 public:
  // ResourceExhausted if there is no room for it.
  static absl::StatusOr<std::unique_ptr<ReadLimit>> Create(WorkerPool& pool, std::int64_t bytes);
  ~ReadLimit();
  ReadLimit(const ReadLimit&) = delete;
  ReadLimit& operator=(const ReadLimit&) = delete;

  // Seconds in which the pool's threads together read all bytes once.
  double Measure();

 private:
  ReadLimit(WorkerPool& pool, std::int64_t bytes, std::uint8_t* memory);

  WorkerPool& pool_;
  const std::int64_t bytes_;
  std::uint8_t* const memory_;  // of the same kind as weights
  std::uint64_t checksum_ = 0;
};

// Reads bytes [begin, end), but for a rest below 64, and returns something that depends on them.
std::uint64_t ReadAll(const std::uint8_t* begin, const std::uint8_t* end);

// Multiply-adds a second of the pool's threads together, by the tiles that kernels of `isa` have
// for large products with weights of `type`, out of the nearest cache: scales and all.
double MeasureMultiplyAdds(WorkerPool& pool, std::string_view isa, WeightType type);

}  // namespace fallow
