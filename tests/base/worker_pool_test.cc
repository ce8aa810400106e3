#include "base/worker_pool.h"

#include <atomic>
#include <barrier>
#include <cstdint>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "catch2/catch_test_macros.hpp"

namespace fallow {
namespace {

// This thread's rounding mode, as its processor has it.
#if defined(__x86_64__)
constexpr std::uint64_t kDefaultMode = 0x1f80;
constexpr std::uint64_t kZeroSubnormals = 0x8040;  // results and operands
std::uint64_t FloatMode() {
  constexpr std::uint64_t kExceptionFlags = 0x3f;
  return _mm_getcsr() & ~kExceptionFlags;
}
void SetFloatMode(std::uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#else
constexpr std::uint64_t kDefaultMode = 0;
constexpr std::uint64_t kZeroSubnormals = 1 << 24;
std::uint64_t FloatMode() {
  std::uint64_t mode;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
void SetFloatMode(std::uint64_t mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
#endif

TEST_CASE("each part runs once a call, the first on the caller's thread", "[base][worker_pool]") {
  for (const int threads : {1, 2, 3, 7}) {
    WorkerPool pool(threads);
    REQUIRE(pool.size() == threads);
    std::vector<int> calls(static_cast<std::size_t>(threads), 0);
    std::thread::id first;
    for (int call = 0; call < 1000; ++call) {
      pool.Run([&](int part) {
        ++calls[static_cast<std::size_t>(part)];
        if (part == 0) first = std::this_thread::get_id();
      });
    }
    CHECK(calls == std::vector<int>(calls.size(), 1000));
    CHECK(first == std::this_thread::get_id());
  }
}

TEST_CASE("parts run side by side", "[base][worker_pool]") {
  WorkerPool pool(3);
  std::barrier all(3);
  for (int call = 0; call < 100; ++call) {
    pool.Run([&](int) { all.arrive_and_wait(); });
    pool.Rest();
  }
}

TEST_CASE("no user may ask for a thread number that makes no sense", "[base][worker_pool]") {
  for (const int threads : {0, 1, 1024}) CHECK(WorkerPool::Check(threads).ok());
  for (const int threads : {-1, 1025, 1 << 30}) {
    CHECK(absl::IsInvalidArgument(WorkerPool::Check(threads)));
  }
}

TEST_CASE("a pool without a number takes all usable cores", "[base][worker_pool]") {
  CHECK(WorkerPool(0).size() >= 1);
}

TEST_CASE("what workers write is seen by the caller and by the next call", "[base][worker_pool]") {
  WorkerPool pool(4);
  std::vector<std::int64_t> values(4, 1);
  for (int call = 0; call < 500; ++call) {
    std::int64_t sum = 0;
    for (const std::int64_t value : values) sum += value;
    const std::int64_t next = sum % 1000003;
    pool.Run([&](int worker) { values[static_cast<std::size_t>(worker)] = next + worker; });
    for (std::size_t i = 0; i < values.size(); ++i) {
      REQUIRE(values[i] == next + static_cast<std::int64_t>(i));
    }
  }
}

TEST_CASE("workers that sleep are woken", "[base][worker_pool]") {
  WorkerPool pool(3);
  for (int call = 0; call < 20; ++call) {
    std::atomic<int> ran = 0;
    pool.Run([&](int) { ran.fetch_add(1); });
    CHECK(ran == 3);
    // Long enough for the workers to give up spinning, however slow the machine: no call depends on
    // whether they did.
    for (int i = 0; i < 2000; ++i) std::this_thread::yield();
  }
}

TEST_CASE("workers that rest are woken", "[base][worker_pool]") {
  WorkerPool pool(3);
  std::atomic<int> calls = 0;
  for (int i = 0; i < 1000; ++i) {
    pool.Run([&](int) { ++calls; });
    if (i % 3 != 0) pool.Rest();
  }
  CHECK(calls == 3000);
}

TEST_CASE("calls from several threads take turns", "[base][worker_pool]") {
  WorkerPool pool(3);
  std::atomic<int> inside = 0;
  std::atomic<bool> overlapped = false;
  std::vector<std::int64_t> counts(3, 0);  // not atomic: only turns keep it right
  const auto call_often = [&] {
    for (int call = 0; call < 300; ++call) {
      pool.Run([&](int worker) {
        if (inside.fetch_add(1) >= 3) overlapped = true;
        ++counts[static_cast<std::size_t>(worker)];
        inside.fetch_sub(1);
      });
    }
  };
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) callers.emplace_back(call_often);
  for (std::thread& caller : callers) caller.join();
  CHECK_FALSE(overlapped);
  CHECK(counts == std::vector<std::int64_t>(3, 4 * 300));
}

TEST_CASE("a pool that was never used ends", "[base][worker_pool]") {
  for (int i = 0; i < 50; ++i) WorkerPool pool(3);
}

TEST_CASE("workers keep subnormals and round to nearest, whatever the caller does",
          "[base][worker_pool]") {
  const std::uint64_t before = FloatMode();
  SetFloatMode(kDefaultMode | kZeroSubnormals);
  WorkerPool pool(3);
  std::vector<std::uint64_t> modes(3, 1);
  pool.Run([&](int worker) { modes[static_cast<std::size_t>(worker)] = FloatMode(); });
  const std::uint64_t after = FloatMode();
  SetFloatMode(before);
  CHECK(modes == std::vector<std::uint64_t>(3, kDefaultMode));
  CHECK(after == (kDefaultMode | kZeroSubnormals));
}

}  // namespace
}  // namespace fallow
