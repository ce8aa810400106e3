#include "kernels/limits/machine_limits.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/monotonic_time.h"
#include "base/platform/memory.h"
#include "base/range.h"
#include "kernels/limits/multiply_adds.h"

namespace fallow {

absl::StatusOr<std::unique_ptr<ReadLimit>> ReadLimit::Create(WorkerPool& pool, std::int64_t bytes) {
  std::uint8_t* const memory = ReserveMemory(bytes);
  if (memory == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("limits: no memory to read ", bytes, " bytes"));
  }
  return std::unique_ptr<ReadLimit>(new ReadLimit(pool, bytes, memory));
}

ReadLimit::ReadLimit(WorkerPool& pool, std::int64_t bytes, std::uint8_t* memory)
    : pool_(pool), bytes_(bytes), memory_(memory) {
  PreferLargePages(memory_, bytes_);  // as weights have them
  pool_.Run([&](int worker) {
    const Range part = PartOf(bytes_, worker, pool_.size());
    std::fill(memory_ + part.begin, memory_ + part.end, 1);
  });
}

ReadLimit::~ReadLimit() { ReleaseMemory(memory_, bytes_); }

double ReadLimit::Measure() {
  const absl::Time start = MonotonicNow();
  pool_.Run([&](int worker) {
    const Range part = PartOf(bytes_, worker, pool_.size());
    const std::uint64_t sum = ReadAll(memory_ + part.begin, memory_ + part.end);
    if (worker == 0) checksum_ += sum;
  });
  return absl::ToDoubleSeconds(MonotonicNow() - start);
}

std::uint64_t ReadAll(const std::uint8_t* begin, const std::uint8_t* end) {
  constexpr int kAhead = 8192;  // what the hardware foresees by itself is a third slower
  using Part = std::uint64_t __attribute__((vector_size(16)));
  const auto load = [](const std::uint8_t* at) {
    Part part;
    std::memcpy(&part, at, sizeof part);
    return part;
  };
  Part a = {}, b = {}, c = {}, d = {};  // an array would be kept in memory
  for (const std::uint8_t* at = begin; at + 64 <= end; at += 64) {
    __builtin_prefetch(at + kAhead, 0, 2);
    a ^= load(at);
    b ^= load(at + 16);
    c ^= load(at + 32);
    d ^= load(at + 48);
  }
  const Part sum = a ^ b ^ c ^ d;
  return sum[0] ^ sum[1];
}

namespace {

using Loop = double (*)(WeightType, std::int64_t);

Loop LoopFor(std::string_view isa) {
#if defined(__x86_64__)
  if (isa == "avx512") return avx512::MultiplyAdds;
  if (isa == "avx2vnni") return avx2vnni::MultiplyAdds;
  if (isa == "avx2") return avx2::MultiplyAdds;
#elif defined(__aarch64__)
  if (isa == "neoni8mm") return neoni8mm::MultiplyAdds;
  if (isa == "neondot") return neondot::MultiplyAdds;
  if (isa == "neon") return neon::MultiplyAdds;
#endif
  return generic::MultiplyAdds;
}

}  // namespace

double MeasureMultiplyAdds(WorkerPool& pool, std::string_view isa, WeightType type) {
  constexpr int kPasses = 15;
  constexpr std::int64_t kIterations = 1 << 11;
  const Loop loop = LoopFor(isa);
  double done = 0;
  absl::Duration best = absl::InfiniteDuration();
  for (int pass = 0; pass < kPasses; ++pass) {
    const absl::Time start = MonotonicNow();
    pool.Run([&](int worker) {
      const double mine = loop(type, kIterations);
      if (worker == 0) done = mine;
    });
    best = std::min(best, MonotonicNow() - start);
  }
  return done * pool.size() / absl::ToDoubleSeconds(best);
}

}  // namespace fallow
