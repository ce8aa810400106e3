// Loops that run in the test's own thread, under a clock that only the test moves.
//
//   ManualTime time;
//   std::unique_ptr<Loop> loop = time.NewLoop();
//   loop->After(absl::Seconds(30), [&] { expired = true; });
//   REQUIRE(time.RunUntil([&] { return expired; }, absl::Minutes(1)));  // takes no real time
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/loop.h"

namespace fallow {

class ManualLoop;

// Must outlive its loops.
class ManualTime {
 public:
  // Without a seed (0) events run by time, and those of one time in the order in which they were
  // posted. With a seed the loops that have something to do at one time take turns at random: each
  // seed is one more interleaving. Tasks of one loop stay in order always.
  explicit ManualTime(std::uint64_t seed = 0);
  ~ManualTime();

  // `owner` names whose loop it is, for those who stop all loops of one owner.
  std::unique_ptr<ManualLoop> NewLoop(std::string owner = "");

  absl::Time Now() const;

  // Runs one event, moving the clock on to it. False if there is none on any loop that can run.
  bool Step();

  // Runs events until `done()`, which is asked after each. Returns the last answer; false means
  // that `limit` of time passed, or that nothing is left to do.
  bool RunUntil(absl::FunctionRef<bool()> done, absl::Duration limit);

  // Runs all events of that time and moves the clock on by it.
  void RunFor(absl::Duration duration);

  // As the methods of ManualLoop, for all loops of `owner` that exist now.
  void Freeze(std::string_view owner);
  void Thaw(std::string_view owner);
  void Kill(std::string_view owner);

 private:
  friend class ManualLoop;
  using Task = Loop::Task;

  std::vector<ManualLoop*> LoopsOf(std::string_view owner);
  ManualLoop* ChooseNext(absl::Time limit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<Task> TakeNext(absl::Time limit);

  const std::uint64_t seed_;
  mutable absl::Mutex mutex_;  // tasks may be posted from other threads
  absl::Time now_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t last_event_ ABSL_GUARDED_BY(mutex_) = 0;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  std::vector<ManualLoop*> loops_ ABSL_GUARDED_BY(mutex_);
};

class ManualLoop final : public Loop {
 public:
  ~ManualLoop() override;

  void Post(Task task) override;
  TimerId After(absl::Duration delay, Task task) override;
  void Cancel(TimerId timer) override;
  absl::Time Now() const override;

  // Like SIGSTOP and SIGCONT: while it is frozen, tasks and timers queue up.
  void Freeze();
  void Thaw();

  // Like SIGKILL: destroys all tasks, and those that still come.
  void Kill();

 private:
  friend class ManualTime;
  using Events = std::map<std::pair<absl::Time, std::uint64_t>, Task>;  // by time, then by order

  ManualLoop(ManualTime& time, std::string owner);

  ManualTime& time_;
  const std::string owner_;
  // Guarded by time_.mutex_.
  Events events_;
  bool frozen_ = false;
  bool killed_ = false;
};

}  // namespace fallow
