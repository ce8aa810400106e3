// Where a thread goes on, and what it waits for.
#include "tests/ptx/lane_wise.h"

namespace fallow::ptx {
namespace {

void SetFlow(Instruction& instruction, bool understood, Flow flow) {
  if (understood) instruction.flow = flow;
}

void BindBranch(Instruction& instruction) {
  SetFlow(instruction, instruction.HasOnly({"uni"}), Flow::kBranch);
}

void BindIndexedBranch(Instruction& instruction) {
  SetFlow(instruction, instruction.HasOnly({"idx", "uni"}), Flow::kBranch);
}

void BindExit(Instruction& instruction) {
  SetFlow(instruction, instruction.HasOnly({"uni"}), Flow::kExit);
}

// Of the whole block. `bar.warp.sync` is of lanes.
void BindBarrier(Instruction& instruction) {
  const bool understood = instruction.HasOnly({"sync", "cta", "aligned"}) &&
                          instruction.Has("sync") && instruction.operands.size() == 1;
  SetFlow(instruction, understood, Flow::kBarrier);
}

// Warps run one at a time here and memory is never stale, so a fence has nothing to do.
void BindFence(Instruction& instruction) {
  if (!instruction.HasOnly({"cta", "gl", "sys", "gpu", "sc", "acq_rel"})) return;
  SetMeaning(instruction, 0, [](Step&) {});
}

void BindTrap(Instruction& instruction) {
  SetMeaning(instruction, 0, [](Step& step) { step.Fail("the kernel gave up"); });
}

}  // namespace

std::span<const NamedBinder> ControlBinders() {
  static constexpr NamedBinder kBinders[] = {
      {"bra", BindBranch},   {"brx", BindIndexedBranch}, {"ret", BindExit},
      {"exit", BindExit},    {"bar", BindBarrier},       {"barrier", BindBarrier},
      {"membar", BindFence}, {"fence", BindFence},       {"trap", BindTrap},
  };
  return kBinders;
}

}  // namespace fallow::ptx
