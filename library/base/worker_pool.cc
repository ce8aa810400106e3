#include "base/worker_pool.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/float_mode.h"
#include "base/platform/cores.h"
#include "base/platform/fork.h"
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

}  // namespace

// A call has one part for each thread of the pool. Whoever is awake takes the next part, so that a
// worker that the system does not run holds nobody up: the caller takes its part as well.
struct WorkerPool::Impl {
  explicit Impl(int size) : size(size), open(Done(0)) {}

  // A call's number and the first part that nobody has taken, in one word, so that taking a part of
  // a call that is over fails.
  using Open = std::uint32_t;
  static constexpr int kPartBits = 12;
  static constexpr Open kPartMask = (1u << kPartBits) - 1;
  static_assert(kMostThreads <= static_cast<int>(kPartMask));
  Open Done(Open call) const { return call << kPartBits | static_cast<Open>(size); }
  bool HasParts(Open value) const { return static_cast<int>(value & kPartMask) < size; }

  const int size;
  absl::Mutex turn;
  int callers_core ABSL_GUARDED_BY(turn) = -1;  // when workers were last woken from their rest
  std::vector<std::thread> threads;
  // All that a call passes on, in one cache line: each further one would take its way between two
  // cores in turn, up to 0.2 us where they share no cache.
  alignas(64) std::atomic<Open> open;
  std::atomic<int> unfinished = 0;                   // parts
  std::optional<absl::FunctionRef<void(int)>> work;  // of the call in `open`
  std::atomic<bool> resting = false;
  std::atomic<bool> ending = false;

  // Linux often puts a thread that is woken behind the one that wakes it, for milliseconds and
  // beside idle cores. So workers that rest, and only these, are kept off the caller's core: one
  // that runs would have to be stopped first, each time that callers on other cores take turns.
  void MakeWay() ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn) {
    const int core = CurrentCore();
    if (core == callers_core) return;
    callers_core = core;
    for (std::thread& thread : threads) KeepOffCore(thread, core);
  }

  // Does parts of the current call until none is left to take.
  void TakeParts() {
    Open value = open.load(std::memory_order_acquire);
    while (HasParts(value)) {
      if (!open.compare_exchange_weak(value, value + 1, std::memory_order_acq_rel)) continue;
      (*work)(static_cast<int>(value & kPartMask));
      if (unfinished.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished.notify_one();
      value = open.load(std::memory_order_acquire);
    }
  }

  // Returns once `value` is ready, or has changed during a sleep.
  template <typename T, typename Ready>
  void Await(const std::atomic<T>& value, Ready ready) {
    for (int i = 0; i < kSpins + kYields && !resting.load(std::memory_order_relaxed); ++i) {
      if (ready(value.load(std::memory_order_acquire))) return;
      i < kSpins ? Pause() : std::this_thread::yield();
    }
    const T old = value.load(std::memory_order_acquire);
    if (!ready(old)) value.wait(old, std::memory_order_acquire);
  }

  void Serve() {
    SetThreadName("fallow-worker");
    const DefaultFloatMode mode;
    while (!ending.load(std::memory_order_acquire)) {
      TakeParts();
      Await(open, [&](Open value) { return HasParts(value) || ending.load(); });
    }
  }
};

absl::Status WorkerPool::Check(int threads) {
  if (threads >= 0 && threads <= kMostThreads) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("threads = ", threads, ", expected 1 to ",
                                                 kMostThreads, ", or 0 for one on each core"));
}

std::shared_ptr<WorkerPool> WorkerPool::ForModel(int threads) {
  if (threads > 0 || UsableCores() == 1) return std::make_shared<WorkerPool>(threads);
  static absl::Mutex mutex(absl::kConstInit);
  static std::weak_ptr<WorkerPool> shared;
  static std::optional<ForkGuard> maker;
  const absl::MutexLock lock(&mutex);
  std::shared_ptr<WorkerPool> pool = shared.lock();
  if (pool == nullptr || !maker->Check("worker pool").ok()) {
    pool = std::make_shared<WorkerPool>(0);
    shared = pool;
    maker.emplace();
  }
  return pool;
}

WorkerPool::WorkerPool(int threads)
    : impl_(std::make_unique<Impl>(std::min(threads > 0 ? threads : UsableCores(), kMostThreads))) {
  impl_->threads.reserve(static_cast<std::size_t>(size() - 1));
  for (int worker = 1; worker < size(); ++worker) {
    impl_->threads.emplace_back([impl = impl_.get()] { impl->Serve(); });
  }
}

WorkerPool::~WorkerPool() {
  impl_->ending.store(true, std::memory_order_release);
  impl_->open.fetch_add(1u << Impl::kPartBits, std::memory_order_release);
  impl_->open.notify_all();
  for (std::thread& thread : impl_->threads) thread.join();
}

int WorkerPool::size() const { return impl_->size; }

void WorkerPool::Run(absl::FunctionRef<void(int)> work) {
  Impl& impl = *impl_;
  const absl::MutexLock turn(&impl.turn);
  const DefaultFloatMode mode;
  if (impl.threads.empty()) return work(0);
  impl.work.emplace(work);
  impl.unfinished.store(impl.size - 1, std::memory_order_relaxed);
  if (impl.resting.load(std::memory_order_relaxed)) {
    impl.resting.store(false, std::memory_order_relaxed);
    impl.MakeWay();
  }
  const Impl::Open call = (impl.open.load(std::memory_order_relaxed) >> Impl::kPartBits) + 1;
  impl.open.store(call << Impl::kPartBits | 1, std::memory_order_release);  // part 0 is taken
  impl.open.notify_all();
  work(0);
  impl.TakeParts();
  while (impl.unfinished.load(std::memory_order_acquire) != 0) {
    impl.Await(impl.unfinished, [](int left) { return left == 0; });
  }
}

void WorkerPool::Rest() { impl_->resting.store(true, std::memory_order_relaxed); }

}  // namespace fallow
