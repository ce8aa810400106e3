// One block of a grid: its threads, which are fibers, its barriers and its shared memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "kernels/cuda/emulator/copies.h"
#include "kernels/cuda/emulator/device.h"
#include "kernels/cuda/emulator/fiber.h"
#include "kernels/cuda/emulator/options.h"

namespace fallow::cuda::emulator {

inline constexpr unsigned kMostThreads = 1024;               // of a block
inline constexpr std::size_t kMostSharedBytes = 227 * 1024;  // of a block

// A sequence of numbers that are the same on every machine: Marsaglia's xorshift.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u | 1) {}
  // Of [0, n).
  std::size_t operator()(std::size_t n) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return (state_ >> 20) % n;
  }

 private:
  std::uint64_t state_;
};

enum class ThreadState { kReady, kAtBarrier, kInWarp, kEnded };

struct DeviceThread {
  Fiber fiber;
  uint3 index;
  unsigned number = 0;  // in the block
  ThreadState state = ThreadState::kReady;
  const void* site = nullptr;  // the return address of the call in which it waits
  Copies copies;

  unsigned lane() const { return number % 32; }
  unsigned warp() const { return number / 32; }
};

// What lanes of a warp do together: the last of them to arrive does it for all, with what each has
// brought. Called with the lanes that take part.
using WarpFunction = void (*)(unsigned lanes, void* const (&brought)[32], std::uint64_t variant);

struct WarpOperation {
  unsigned mask = 0;
  WarpFunction function = nullptr;  // null: the lanes only meet, and see each other's memory
  std::uint64_t variant = 0;        // told to `function`

  friend bool operator==(const WarpOperation&, const WarpOperation&) = default;
};

// Runs blocks, one after the other, on the thread of the operating system that made it.
class Block {
 public:
  struct Kernel {
    LaunchShape shape;
    Call call;
  };

  Block(const Kernel& kernel, std::uint64_t seed);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  // The one whose thread calls this; null outside of kernels.
  static Block* Running();

  // Runs block `number` of the grid. False if it was stopped by a fault.
  bool Run(std::uint64_t number);

  DeviceThread& current() { return *current_; }
  std::uint64_t number() const { return number_; }
  std::span<std::uint8_t> shared_memory() { return shared_; }
  Draw& draw() { return draw_; }

  // By the running thread, at `site`:
  void WaitAtBarrier(const void* site);
  void MeetInWarp(const WarpOperation& operation, void* brought, const void* site);
  void LetOthersRun();
  // Ends the launch, as an error of the device would. What is on the thread's stack is dropped.
  [[noreturn]] void Stop();

 private:
  struct Meeting {
    WarpOperation operation;
    unsigned arrived = 0;
    void* brought[32] = {};
  };
  struct Warp {
    unsigned present = 0;  // lanes that the block has
    unsigned ended = 0;
    std::vector<Meeting> meetings;
  };

  void StartThreads();
  void EnterKernel();
  void RunThread(DeviceThread& thread);
  DeviceThread& NextReady();
  void EndThread(DeviceThread& thread);
  void ReportDeadlock();
  void ReportDivergence(const void* site);
  void ReleaseBarrier();
  void FinishMeetings(unsigned warp);
  void MakeReady(DeviceThread& thread);

  const Kernel kernel_;
  const unsigned num_threads_;
  std::vector<std::unique_ptr<DeviceThread>>& threads_;
  std::vector<Warp> warps_;
  std::deque<unsigned> ready_;
  std::span<std::uint8_t> shared_;
  Draw draw_;
  std::uint64_t number_ = 0;
  DeviceThread* current_ = nullptr;
  unsigned live_ = 0;
  unsigned at_barrier_ = 0;
  bool stopped_ = false;
};

}  // namespace fallow::cuda::emulator
