// Threads that run one function together, for passes through a model's blocks.
#pragma once

#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace fallow {

// A call of Run costs well under a microsecond while the workers are awake: they spin briefly for
// the next call, then yield, then sleep. Calls from several threads take turns, so that several
// servers in one process can share the machine's cores.
class WorkerPool {
 public:
  static constexpr int kMostThreads = 1024;

  // InvalidArgument unless a user may ask for so many.
  static absl::Status Check(int threads);

  // For the passes of a model: a pool of its own with so many threads; for 0 the pool on all usable
  // cores that all models of the process share, as they would share the cores. That one ends with
  // its last user, and a forked child has another.
  static std::shared_ptr<WorkerPool> ForModel(int threads);

  // `threads` counts the calling thread: a pool of one starts none. 0 takes all usable cores.
  explicit WorkerPool(int threads);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  int size() const;

  // Calls work(0) … work(size() - 1), once each, side by side as far as the pool's threads are
  // awake; returns when all have returned. The caller does work(0), and what no worker has begun
  // when that is done: a worker that the system does not run holds nobody up. `work` may not call
  // Run.
  void Run(absl::FunctionRef<void(int worker)> work);

  // Says that no call is expected soon: workers sleep at once, and leave their cores to others. The
  // next call wakes them, which costs some tens of microseconds.
  void Rest();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fallow
