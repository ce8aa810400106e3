// Threads that run one function together, for passes through a model's blocks.
#pragma once

#include <memory>

#include "absl/functional/function_ref.h"

namespace fallow {

// A call of Run costs well under a microsecond while the workers are awake: they spin briefly for
// the next call, then yield, then sleep. Calls from several threads take turns, so that several
// servers in one process can share the machine's cores.
class WorkerPool {
 public:
  // `threads` counts the calling thread: a pool of one starts none. 0 takes all usable cores.
  explicit WorkerPool(int threads);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  int size() const;

  // Calls work(0) … work(size() - 1), each on a thread of its own, work(0) on the caller's; returns
  // when all have. `work` may not call Run.
  void Run(absl::FunctionRef<void(int worker)> work);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fallow
