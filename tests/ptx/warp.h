// The threads of a warp: their registers, and where each of them is.
//
// Lanes that are at the same instruction run it together. Of those that parted, the ones furthest
// back run first, so that they meet again where nvcc lets branches meet; what the results are must
// not depend on it, and with a seed warps also take turns at random.
#pragma once

#include <bit>
#include <cstdint>
#include <deque>
#include <vector>

#include "tests/ptx/program.h"

namespace fallow::ptx {

inline constexpr int kWarpSize = 32;

// A cp.async under way.
struct AsyncCopy {
  std::uint64_t to;    // in shared memory
  std::uint64_t from;  // in global memory
  int bytes;
  int valid_bytes;  // the others become zero
};

// The copies of one thread.
struct AsyncQueue {
  std::vector<AsyncCopy> open;                // since the last commit
  std::deque<std::vector<AsyncCopy>> groups;  // oldest first
};

// Lanes of a warp that are at the same instruction.
struct Fragment {
  int at = 0;
  std::uint32_t lanes = 0;
  bool waits = false;  // for other lanes or other warps
};

class Warp {
 public:
  Warp(int first_thread, int lanes, int registers)
      : first_thread(first_thread),
        copies(kWarpSize),
        registers_(static_cast<std::size_t>(registers) * kWarpSize, kPoison) {
    fragments.push_back({0, lanes == kWarpSize ? ~0u : (1u << lanes) - 1, false});
  }

  std::uint64_t& Register(int index, int lane) { return registers_[index * kWarpSize + lane]; }

  // Lanes that have not ended.
  std::uint32_t Live() const {
    std::uint32_t lanes = 0;
    for (const Fragment& fragment : fragments) lanes |= fragment.lanes;
    return lanes;
  }

  // Joins fragments that are at one place, and takes out the one to run next: the furthest back,
  // but now and then the furthest ahead, so that lanes which wait for others do not starve them.
  // One without lanes if all wait or have ended.
  Fragment TakeRunnable();

  // Where a fragment at `at` meets another that is ready to run; beyond all code if nowhere.
  int NextMeeting() const;

  const int first_thread;
  std::vector<Fragment> fragments;
  std::vector<AsyncQueue> copies;  // by lane

 private:
  static constexpr std::uint64_t kPoison = 0xdeadbeefdeadbeef;

  std::vector<std::uint64_t> registers_;  // [registers, kWarpSize]
  std::uint32_t selections_ = 0;
};

// Calls f(lane) for each lane of a mask, the lowest first.
template <typename F>
void ForEachLane(std::uint32_t lanes, F f) {
  for (; lanes != 0; lanes &= lanes - 1) f(std::countr_zero(lanes));
}

}  // namespace fallow::ptx
