// The barriers of a block: a part of Block in a file of its own.
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/ptx/block.h"

namespace fallow::ptx {

// Called when no warp can go on. Whether a barrier is complete: all warps that have not ended wait
// at it, each with all threads that it began with. Otherwise sets failure_ where that is an error.
bool Block::ReleaseBarriers() {
  std::set<std::uint32_t> ids;
  for (Warp& warp : warps_) {
    for (const Fragment& fragment : warp.fragments) {
      const Instruction& instruction = kernel_.code[fragment.at];
      if (instruction.flow != Flow::kBarrier || !Aligned(warp, fragment)) return false;
      Step step(instruction, fragment.lanes, warp, memory_, place_);
      ids.insert(step.Read<std::uint32_t>(0, std::countr_zero(fragment.lanes)));
    }
  }
  if (ids.size() != 1) return false;
  for (Warp& warp : warps_) {
    for (Fragment& fragment : warp.fragments) fragment = {fragment.at + 1, fragment.lanes, false};
  }
  return true;
}

// bar.sync is for converged warps: all threads of a warp that began must be at the same one.
bool Block::Aligned(Warp& warp, const Fragment& fragment) {
  const int threads = static_cast<int>(place_.block.Count()) - warp.first_thread;
  const std::uint32_t began = threads >= kWarpSize ? ~0u : (1u << threads) - 1;
  if (fragment.lanes == began) return true;
  Step step(kernel_.code[fragment.at], fragment.lanes, warp, memory_, place_);
  const std::uint32_t ended = began & ~warp.Live();
  step.Fail(absl::StrCat("barrier in divergent code: lanes ", absl::Hex(fragment.lanes),
                         " of the warp are there, lanes ", absl::Hex(ended), " have ended"),
            std::countr_zero(fragment.lanes));
  failure_ = absl::StrCat(step.failure, "; ", Stuck());
  return false;
}

std::string Block::Stuck() const {
  std::string text = "nothing can go on:";
  for (const Warp& warp : warps_) {
    for (const Fragment& fragment : warp.fragments) {
      const Instruction& instruction = kernel_.code[fragment.at];
      absl::StrAppend(&text, " [warp ", warp.first_thread / kWarpSize, " lanes ",
                      absl::Hex(fragment.lanes), " line ", instruction.line, ": ",
                      instruction.source, "]");
    }
  }
  return text;
}

}  // namespace fallow::ptx
