// How the emulator runs kernels.
#pragma once

#include <cstdint>

#include "base/worker_pool.h"

namespace fallow::cuda {
struct LaunchShape;
}

namespace fallow::cuda::emulator {

struct Call;

#ifdef FALLOW_CUDA_CHECKED
inline constexpr bool kChecked = true;  // accesses to memory are watched: checker.h
#else
inline constexpr bool kChecked = false;
#endif

struct Options {
  // Threads and blocks that could run take turns, or one of them is drawn each time.
  bool random_order = false;
  std::uint64_t seed = 1;
  // Checked builds: another thread gets its turn before one in so many accesses to memory; 0: none.
  unsigned preempt_one_in = 0;
  // CopyAsync16 is done at once, instead of as late as the kernel's waits allow.
  bool early_copies = false;
  // Checked builds: transfers of each line are counted (traffic.h).
  bool count_traffic = false;
  // Shares out the blocks of a launch; null, or a checked build: all run on the launching thread.
  // Not one whose Run() the launch is part of.
  WorkerPool* pool = nullptr;
  int compute_capability = 90;  // as launches are told
  // Runs launches in the emulator's place. False: it failed, and has told Report() why.
  bool (*run_instead)(const LaunchShape& shape, const Call& call) = nullptr;
};

// For launches from now on. Not to be called beside one. The default is Options{}.
void SetOptions(const Options& options);
const Options& CurrentOptions();

}  // namespace fallow::cuda::emulator
