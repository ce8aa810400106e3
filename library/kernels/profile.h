// How long each kernel takes, beside the least time that this machine needs for the same work.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/worker_pool.h"
#include "kernels/backend.h"

namespace fallow {

struct KernelWork {
  double stored_bytes = 0;  // weights, keys and values, each read once from memory
  double row_bytes = 0;     // the pass's own rows, in and out: these are in a cache
  std::array<double, kNumWeightTypes> multiply_adds = {};  // by WeightType

  KernelWork& operator+=(const KernelWork& other);
  double all_multiply_adds() const;
};

// What the kernels do for these arguments. Of attention: queries times keys count as products with
// weights of the pages' format, sums of values in kQ8 as fp32.
KernelWork WorkOf(const MatmulArgs& args);
KernelWork WorkOf(const AttentionArgs& args);

// A machine's rates a second, of some number of threads together.
struct KernelLimits {
  double memory_bytes = 0;
  double cache_bytes = 0;
  std::array<double, kNumWeightTypes> multiply_adds = {};
};

// `isa` as KernelTable's name; `bytes` as many as the weights have, of which it needs room for 1
// GiB at most: ResourceExhausted.
absl::StatusOr<KernelLimits> MeasureKernelLimits(WorkerPool& pool, std::string_view isa,
                                                 std::int64_t bytes);

// Whichever takes longest: reading from memory, reading from a cache, or the products.
double LeastSeconds(const KernelWork& work, const KernelLimits& limits);

struct KernelTime {
  std::string kernel;  // "attention", "matmul q4_1 960x576"
  std::int64_t calls = 0;
  double seconds = 0;
  KernelWork work;
};

// One thread at a time.
class KernelClock {
 public:
  // Runs it and adds its time to that of the same name.
  void Time(std::string_view kernel, const KernelWork& work, absl::FunctionRef<void()> run);

  // What was timed since the last call, the longest first.
  std::vector<KernelTime> Take();

 private:
  std::vector<KernelTime> times_;
};

// `backend`, each of whose kernels is waited for and timed by `clock`, which must outlive it.
std::unique_ptr<Backend> MakeProfilingBackend(std::unique_ptr<Backend> backend, KernelClock& clock);

}  // namespace fallow
