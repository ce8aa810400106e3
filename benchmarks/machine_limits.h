// What this machine reaches with the simplest code: the limits beside which benchmarks stand.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/worker_pool.h"
#include "kernels/backend.h"

namespace fallow {

// Memory to read. Larger than the caches, it gives the bandwidth that weights can be read at.
class ReadLimit {
 public:
  ReadLimit(WorkerPool& pool, std::int64_t bytes);
  ~ReadLimit();
  ReadLimit(const ReadLimit&) = delete;
  ReadLimit& operator=(const ReadLimit&) = delete;

  // Seconds in which the pool's threads together read all bytes once.
  double Measure();

 private:
  WorkerPool& pool_;
  const std::int64_t bytes_;
  std::uint8_t* const memory_;  // of the same kind as weights
  std::uint64_t checksum_ = 0;
};

// Reads bytes [begin, end), but for a rest below 64, and returns something that depends on them.
std::uint64_t ReadAll(const std::uint8_t* begin, const std::uint8_t* end);

// Multiply-adds a second of the pool's threads together, out of registers, by the instruction that
// kernels of `isa` use for `arithmetic`.
double MeasureMultiplyAdds(WorkerPool& pool, std::string_view isa, Arithmetic arithmetic);

}  // namespace fallow
