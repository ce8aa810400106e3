#include "base/worker_pool.h"

#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/float_mode.h"
#include "base/platform/cores.h"
#include "base/platform/thread_name.h"

namespace fallow {
namespace {

// The next call usually comes within microseconds. Spinning for longer than these 50 to 100 would
// take the core from the other processes that want it: a measured 30 times slower.
constexpr int kSpins = 2000;
constexpr int kYields = 50;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns once `value` is no longer `old`.
void AwaitChange(const std::atomic<int>& value, int old) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (value.load(std::memory_order_acquire) != old) return;
    Pause();
  }
  for (int yield = 0; yield < kYields; ++yield) {
    if (value.load(std::memory_order_acquire) != old) return;
    std::this_thread::yield();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

// A call is published by counting `call` up, after `work` and `unfinished` are set; a worker reads
// them after it has seen `call` change. The caller returns after `unfinished` has come down to 0.
struct WorkerPool::Impl {
  absl::Mutex turn;
  const absl::FunctionRef<void(int)>* work = nullptr;  // null: the pool ends
  alignas(64) std::atomic<int> call = 0;
  alignas(64) std::atomic<int> unfinished = 0;
  std::vector<std::thread> threads;

  void Publish(const absl::FunctionRef<void(int)>* next) {
    work = next;
    unfinished.store(static_cast<int>(threads.size()), std::memory_order_relaxed);
    call.fetch_add(1, std::memory_order_release);
    call.notify_all();
  }

  void AwaitWorkers() {
    for (int left = unfinished.load(std::memory_order_acquire); left != 0;
         left = unfinished.load(std::memory_order_acquire)) {
      AwaitChange(unfinished, left);
    }
  }

  void Serve(int worker) {
    SetThreadName("fallow-worker");
    const DefaultFloatMode mode;
    for (int seen = 0;; ++seen) {
      AwaitChange(call, seen);
      if (!work) return;
      (*work)(worker);
      unfinished.fetch_sub(1, std::memory_order_acq_rel);
      unfinished.notify_one();
    }
  }
};

WorkerPool::WorkerPool(int threads) : impl_(std::make_unique<Impl>()) {
  const int count = threads > 0 ? threads : UsableCores();
  impl_->threads.reserve(static_cast<std::size_t>(count - 1));
  for (int worker = 1; worker < count; ++worker) {
    impl_->threads.emplace_back([impl = impl_.get(), worker] { impl->Serve(worker); });
  }
}

WorkerPool::~WorkerPool() {
  impl_->Publish(nullptr);
  for (std::thread& thread : impl_->threads) thread.join();
}

int WorkerPool::size() const { return static_cast<int>(impl_->threads.size()) + 1; }

void WorkerPool::Run(absl::FunctionRef<void(int)> work) {
  const absl::MutexLock turn(&impl_->turn);
  const DefaultFloatMode mode;
  if (impl_->threads.empty()) return work(0);
  impl_->Publish(&work);
  work(0);
  impl_->AwaitWorkers();
}

}  // namespace fallow
