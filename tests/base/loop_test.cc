#include "base/loop.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "base/manual_loop.h"
#include "base/thread_loop.h"
#include "catch2/catch_test_macros.hpp"

namespace fallow {
namespace {

// Says when it is destroyed, which is when the task that holds it is.
struct Witness {
  explicit Witness(int& destroyed) : destroyed(destroyed) {}
  ~Witness() { ++destroyed; }
  int& destroyed;
};

TEST_CASE("a manual loop runs tasks in order and timers by time", "[base][loop]") {
  ManualTime time;
  const auto loop = time.NewLoop();
  const absl::Time start = time.Now();
  std::string order;
  loop->After(absl::Seconds(2), [&] { order += 'd'; });
  loop->After(absl::Seconds(1), [&] { order += 'c'; });
  loop->Post([&] {
    order += 'a';
    loop->Post([&] { order += 'b'; });
  });
  time.RunFor(absl::Seconds(1));
  CHECK(order == "abc");
  CHECK(time.Now() == start + absl::Seconds(1));
  time.RunFor(absl::Seconds(5));
  CHECK(order == "abcd");
  CHECK(loop->Now() == start + absl::Seconds(6));
}

TEST_CASE("a run ends when its condition holds, when time is up or nothing is left",
          "[base][loop]") {
  ManualTime time;
  const auto loop = time.NewLoop();
  int runs = 0;
  for (int i = 1; i <= 5; ++i) {
    loop->After(absl::Seconds(i), [&] { ++runs; });
  }
  CHECK(time.RunUntil([&] { return runs == 2; }, absl::Minutes(1)));
  CHECK_FALSE(time.RunUntil([&] { return runs == 5; }, absl::Seconds(2)));
  CHECK(runs == 4);
  CHECK_FALSE(time.RunUntil([&] { return runs == 6; }, absl::Minutes(1)));
  CHECK(runs == 5);
  CHECK_FALSE(time.Step());
}

TEST_CASE("a cancelled timer never runs, and lets go of what it held", "[base][loop]") {
  ManualTime time;
  const auto loop = time.NewLoop();
  int destroyed = 0;
  bool ran = false;
  const auto timer = loop->After(absl::Seconds(1),
                                 [&ran, w = std::make_unique<Witness>(destroyed)] { ran = true; });
  loop->Cancel(timer);
  CHECK(destroyed == 1);
  time.RunFor(absl::Seconds(2));
  CHECK_FALSE(ran);
  loop->Cancel(timer);
}

TEST_CASE("a frozen loop keeps its tasks until it is thawed", "[base][loop]") {
  ManualTime time;
  const auto frozen = time.NewLoop("a");
  const auto other = time.NewLoop("b");
  std::string order;
  frozen->After(absl::Seconds(1), [&] { order += 'f'; });
  other->After(absl::Seconds(2), [&] { order += 'o'; });
  time.Freeze("a");
  time.RunFor(absl::Seconds(3));
  CHECK(order == "o");
  const absl::Time before = time.Now();
  time.Thaw("a");
  CHECK(time.Step());
  CHECK(order == "of");
  CHECK(time.Now() == before);
}

TEST_CASE("a killed loop destroys its tasks and those that come", "[base][loop]") {
  ManualTime time;
  const auto loop = time.NewLoop("a");
  int destroyed = 0;
  loop->Post([w = std::make_unique<Witness>(destroyed)] {});
  loop->After(absl::Seconds(1), [w = std::make_unique<Witness>(destroyed)] {});
  time.Kill("a");
  CHECK(destroyed == 2);
  loop->Post([w = std::make_unique<Witness>(destroyed)] {});
  CHECK(destroyed == 3);
  CHECK_FALSE(time.Step());
}

std::string InterleavingOf(std::uint64_t seed) {
  ManualTime time(seed);
  const auto a = time.NewLoop();
  const auto b = time.NewLoop();
  std::string order;
  for (int i = 0; i < 4; ++i) {
    a->Post([&order, i] { order += static_cast<char>('0' + i); });
    b->Post([&order, i] { order += static_cast<char>('a' + i); });
  }
  time.RunFor(absl::ZeroDuration());
  return order;
}

TEST_CASE("each seed is an interleaving that can be repeated and keeps loops in order",
          "[base][loop]") {
  CHECK(InterleavingOf(0) == "0a1b2c3d");
  std::set<std::string> seen;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const std::string order = InterleavingOf(seed);
    CHECK(order == InterleavingOf(seed));
    std::string digits, letters;
    for (char c : order) {
      (c <= '9' ? digits : letters) += c;
    }
    CHECK(digits == "0123");
    CHECK(letters == "abcd");
    seen.insert(order);
  }
  CHECK(seen.size() > 5);
}

TEST_CASE("a thread loop runs tasks of many threads, each thread's in order", "[base][loop]") {
  constexpr int kThreads = 4;
  constexpr int kTasks = 500;
  std::vector<std::vector<int>> seen(kThreads);
  absl::BlockingCounter left(kThreads * kTasks);
  ThreadLoop loop("test");
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTasks; ++i) {
        loop.Post([&, t, i] {
          seen[t].push_back(i);
          left.DecrementCount();
        });
      }
    });
  }
  left.Wait();
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const std::vector<int>& of_thread : seen) {
    CHECK(of_thread.size() == kTasks);
    CHECK(std::is_sorted(of_thread.begin(), of_thread.end()));
  }
}

TEST_CASE("timers of a thread loop run by time and not before it", "[base][loop]") {
  ThreadLoop loop("test");
  std::string order;
  absl::Time ran;
  absl::Notification done;
  const absl::Time start = loop.Now();
  loop.After(absl::Milliseconds(20), [&] {
    ran = loop.Now();
    order += 'b';
    done.Notify();
  });
  loop.After(absl::Milliseconds(5), [&] { order += 'a'; });
  loop.Post([&] {
    loop.Cancel(loop.After(absl::Milliseconds(1), [&] { order += 'x'; }));
    loop.Cancel(loop.After(absl::ZeroDuration(), [&] { order += 'y'; }));
  });
  REQUIRE(done.WaitForNotificationWithTimeout(absl::Seconds(30)));
  CHECK(order == "ab");
  CHECK(ran - start >= absl::Milliseconds(20));
}

TEST_CASE("a thread loop that ends destroys tasks, also those posted by their destructors",
          "[base][loop]") {
  int destroyed = 0;
  bool ran = false;
  {
    struct PostsAgain {
      PostsAgain(Loop& loop, int& destroyed) : loop(loop), destroyed(destroyed) {}
      Loop& loop;
      int& destroyed;
      ~PostsAgain() {
        loop.Post([w = std::make_unique<Witness>(destroyed)] {});
      }
    };
    absl::Notification running, ending;  // the loop may still look at the latter while it ends
    ThreadLoop loop("test");
    loop.Post([&] {
      running.Notify();
      ending.WaitForNotification();
    });
    loop.After(absl::Hours(1), [&, w = std::make_unique<Witness>(destroyed)] { ran = true; });
    loop.After(absl::Hours(1),
               [p = std::make_unique<PostsAgain>(loop, destroyed), &ran] { ran = true; });
    running.WaitForNotification();
    ending.Notify();
  }
  CHECK(destroyed == 2);
  CHECK_FALSE(ran);
}

}  // namespace
}  // namespace fallow
