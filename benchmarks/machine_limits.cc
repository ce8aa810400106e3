#include "machine_limits.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/platform/memory.h"
#include "base/range.h"
#include "multiply_adds.h"
#include "report.h"

namespace fallow {

ReadLimit::ReadLimit(WorkerPool& pool, std::int64_t bytes)
    : pool_(pool), bytes_(bytes), memory_(ReserveMemory(bytes)) {
  if (memory_ == nullptr) throw std::bad_alloc();
  pool_.Run([&](int worker) {
    const Range part = PartOf(bytes_, worker, pool_.size());
    std::fill(memory_ + part.begin, memory_ + part.end, 1);
  });
}

ReadLimit::~ReadLimit() { ReleaseMemory(memory_, bytes_); }

double ReadLimit::Measure() {
  const double start = Now();
  pool_.Run([&](int worker) {
    const Range part = PartOf(bytes_, worker, pool_.size());
    const std::uint64_t sum = ReadAll(memory_ + part.begin, memory_ + part.end);
    if (worker == 0) checksum_ += sum;
  });
  return Now() - start;
}

// Four streams at a time: one does not keep the memory busy.
std::uint64_t ReadAll(const std::uint8_t* begin, const std::uint8_t* end) {
  constexpr int kStreams = 4;
  const std::int64_t stream = (end - begin) / (64 * kStreams) * 64;
  std::uint64_t sums[8] = {};
  for (std::int64_t i = 0; i < stream; i += 64) {
    for (int s = 0; s < kStreams; ++s) {
      std::uint64_t words[8];
      std::memcpy(words, begin + s * stream + i, sizeof words);
      for (int j = 0; j < 8; ++j) sums[j] ^= words[j];
    }
  }
  std::uint64_t sum = 0;
  for (const std::uint64_t part : sums) sum ^= part;
  return sum;
}

namespace {

using Loop = double (*)(Arithmetic, std::int64_t);

Loop LoopFor(std::string_view isa) {
#if defined(__x86_64__)
  if (isa == "avx512") return avx512::MultiplyAdds;
  if (isa == "avx2vnni") return avx2vnni::MultiplyAdds;
  if (isa == "avx2") return avx2::MultiplyAdds;
#endif
  return generic::MultiplyAdds;
}

}  // namespace

double MeasureMultiplyAdds(WorkerPool& pool, std::string_view isa, Arithmetic arithmetic) {
  constexpr std::int64_t kIterations = 1 << 18;
  const Loop loop = LoopFor(isa);
  double done = 0;
  double best = 1e9;
  for (int pass = 0; pass < 9; ++pass) {
    const double start = Now();
    pool.Run([&](int worker) {
      const double mine = loop(arithmetic, kIterations);
      if (worker == 0) done = mine;
    });
    best = std::min(best, Now() - start);
  }
  return done * pool.size() / best;
}

}  // namespace fallow
