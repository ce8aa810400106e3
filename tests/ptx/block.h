// Runs the warps of a block to their end.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/ptx/memory.h"
#include "tests/ptx/program.h"
#include "tests/ptx/step.h"
#include "tests/ptx/warp.h"

namespace fallow::ptx {

struct Schedule {
  std::uint64_t seed = 0;  // 0: warps run until they wait; else in turns drawn from it
  std::int64_t instructions_left = 1'000'000'000;  // of warps, in all blocks of a launch
};

class Block {
 public:
  // All references outlive the block. Counts go to the kernel's instructions.
  Block(Kernel& kernel, BlockMemory& memory, const BlockPlace& place, Schedule& schedule);

  // What went wrong; empty if nothing did.
  std::string Run();

 private:
  bool RunTurn(Warp& warp);  // whether it did anything
  void RunFragment(Warp& warp, Fragment fragment, std::int64_t instructions);
  bool RunOne(Warp& warp, Fragment& fragment);  // whether the fragment goes on
  std::uint32_t GuardedLanes(Warp& warp, const Fragment& fragment) const;
  bool RunSemantics(Warp& warp, Instruction& instruction, std::uint32_t lanes);
  bool Branch(Warp& warp, Fragment& fragment, std::uint32_t lanes);
  void WaitForLanes(Warp& warp, int at, std::uint32_t lanes);
  void ReleaseLanes(Warp& warp);
  std::uint32_t ReadyLanes(Warp& warp, const Fragment& fragment);
  bool ReleaseBarriers();
  bool Aligned(Warp& warp, const Fragment& fragment);
  std::string Stuck() const;

  Kernel& kernel_;
  BlockMemory& memory_;
  const BlockPlace& place_;
  Schedule& schedule_;
  std::mt19937_64 random_;
  std::vector<Warp> warps_;
  std::string failure_;
};

}  // namespace fallow::ptx
