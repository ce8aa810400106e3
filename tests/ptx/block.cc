#include "tests/ptx/block.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"

namespace fallow::ptx {

Block::Block(Kernel& kernel, BlockMemory& memory, const BlockPlace& place, Schedule& schedule)
    : kernel_(kernel),
      memory_(memory),
      place_(place),
      schedule_(schedule),
      random_(schedule.seed + static_cast<std::uint64_t>(place.index.x)) {
  const int threads = static_cast<int>(place.block.Count());
  for (int first = 0; first < threads; first += kWarpSize) {
    warps_.emplace_back(first, std::min(kWarpSize, threads - first), kernel.registers);
  }
  memory_.Clear();
}

std::string Block::Run() {
  std::vector<int> order(warps_.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  while (failure_.empty()) {
    if (schedule_.seed != 0) std::shuffle(order.begin(), order.end(), random_);
    bool moved = false;
    for (int i : order) moved = RunTurn(warps_[i]) || moved;
    if (std::all_of(warps_.begin(), warps_.end(), [](Warp& warp) { return warp.Live() == 0; })) {
      break;
    }
    if (!moved && !ReleaseBarriers() && failure_.empty()) failure_ = Stuck();
    if (schedule_.instructions_left <= 0) failure_ = absl::StrCat("no end in sight; ", Stuck());
  }
  return failure_;
}

bool Block::RunTurn(Warp& warp) {
  std::int64_t turn = 100'000;
  if (schedule_.seed != 0) turn = 1 + static_cast<std::int64_t>(random_() % 64);
  const std::int64_t end = schedule_.instructions_left - turn;
  bool moved = false;
  while (failure_.empty() && schedule_.instructions_left > std::max<std::int64_t>(end, 0)) {
    const Fragment fragment = warp.TakeRunnable();
    if (fragment.lanes == 0) break;
    moved = true;
    RunFragment(warp, fragment, schedule_.instructions_left - end);
  }
  return moved;
}

// Until it meets another fragment, jumps, waits, ends, or has run that many instructions.
void Block::RunFragment(Warp& warp, Fragment fragment, std::int64_t instructions) {
  const int meeting = warp.NextMeeting();
  for (std::int64_t i = 0; i < instructions && failure_.empty(); ++i) {
    if (fragment.at >= static_cast<int>(kernel_.code.size())) {
      failure_ = "runs past its last instruction";
      return;
    }
    --schedule_.instructions_left;
    const int before = fragment.at;
    if (!RunOne(warp, fragment)) return;
    if (fragment.at <= before || (before < meeting && fragment.at >= meeting)) break;
  }
  warp.fragments.push_back(fragment);
}

bool Block::RunOne(Warp& warp, Fragment& fragment) {
  Instruction& instruction = kernel_.code[fragment.at];
  const std::uint32_t lanes = GuardedLanes(warp, fragment);
  if (lanes != 0) {
    ++instruction.warp_runs;
    instruction.lane_runs += std::popcount(lanes);
  }
  switch (instruction.flow) {
    case Flow::kBranch:
      return Branch(warp, fragment, lanes);
    case Flow::kNext:
      ++fragment.at;
      return lanes == 0 || RunSemantics(warp, instruction, lanes);
    case Flow::kExit:
      fragment.lanes &= ~lanes;
      ++fragment.at;
      if (lanes != 0) ReleaseLanes(warp);
      return fragment.lanes != 0;
    default:
      break;
  }
  if (fragment.lanes & ~lanes) {  // those whose guard says no go on
    warp.fragments.push_back({fragment.at + 1, fragment.lanes & ~lanes, false});
  }
  if (lanes != 0) WaitForLanes(warp, fragment.at, lanes);
  return false;
}

std::uint32_t Block::GuardedLanes(Warp& warp, const Fragment& fragment) const {
  const Instruction& instruction = kernel_.code[fragment.at];
  if (instruction.guard < 0) return fragment.lanes;
  std::uint32_t lanes = 0;
  ForEachLane(fragment.lanes, [&](int lane) {
    const bool guard = warp.Register(instruction.guard, lane) & 1;
    if (guard != instruction.guard_negated) lanes |= 1u << lane;
  });
  return lanes;
}

bool Block::RunSemantics(Warp& warp, Instruction& instruction, std::uint32_t lanes) {
  Step step(instruction, lanes, warp, memory_, place_);
  instruction.run(step);
  if (step.failed()) failure_ = step.failure;
  return !step.failed();
}

bool Block::Branch(Warp& warp, Fragment& fragment, std::uint32_t lanes) {
  const Instruction& instruction = kernel_.code[fragment.at];
  std::map<int, std::uint32_t> taken;
  if (instruction.opcode == "bra") {
    taken[instruction.targets[0]] = lanes;
  } else {
    Step step(instruction, lanes, warp, memory_, place_);
    ForEachLane(lanes, [&](int lane) {
      const auto i = step.Read<std::uint32_t>(0, lane);
      if (i >= instruction.targets.size()) return step.Fail("no such target", lane);
      taken[instruction.targets[i]] |= 1u << lane;
    });
    failure_ = step.failure;
  }
  if (lanes != fragment.lanes) taken[fragment.at + 1] |= fragment.lanes & ~lanes;
  if (taken.size() == 1) {
    fragment.at = taken.begin()->first;
    return true;
  }
  for (const auto& [at, those] : taken) {
    if (those != 0) warp.fragments.push_back({at, those, false});
  }
  return false;
}

void Block::WaitForLanes(Warp& warp, int at, std::uint32_t lanes) {
  for (Fragment& fragment : warp.fragments) {
    if (fragment.waits && fragment.at == at) {
      fragment.lanes |= lanes;
      lanes = 0;
    }
  }
  if (lanes != 0) warp.fragments.push_back({at, lanes, true});
  ReleaseLanes(warp);
}

// Runs what waits for no other lane any more.
void Block::ReleaseLanes(Warp& warp) {
  for (std::size_t i = 0; i < warp.fragments.size() && failure_.empty();) {
    const Fragment waiting = warp.fragments[i];
    Instruction& instruction = kernel_.code[waiting.at];
    const bool for_lanes = waiting.waits && instruction.flow == Flow::kWarp;
    const std::uint32_t ready = for_lanes ? ReadyLanes(warp, waiting) : 0;
    if (ready == 0) {
      ++i;
      continue;
    }
    RunSemantics(warp, instruction, ready);
    warp.fragments[i].lanes &= ~ready;
    if (warp.fragments[i].lanes == 0) warp.fragments.erase(warp.fragments.begin() + i);
    warp.fragments.push_back({waiting.at + 1, ready, false});
    i = 0;
  }
}

// Lanes of a waiting fragment whose mask names nobody else who still runs; 0 if there are none.
// Each lane must name itself.
std::uint32_t Block::ReadyLanes(Warp& warp, const Fragment& fragment) {
  const Instruction& instruction = kernel_.code[fragment.at];
  if (instruction.mask_operand < 0) return fragment.lanes == warp.Live() ? fragment.lanes : 0;
  Step step(instruction, fragment.lanes, warp, memory_, place_);
  std::map<std::uint32_t, std::uint32_t> lanes_by_mask;
  ForEachLane(fragment.lanes, [&](int lane) {
    const auto mask = step.Read<std::uint32_t>(instruction.mask_operand, lane);
    if (!(mask >> lane & 1)) step.Fail("a lane that its own mask does not name", lane);
    lanes_by_mask[mask] |= 1u << lane;
  });
  if (step.failed()) failure_ = step.failure;
  for (const auto& [mask, lanes] : lanes_by_mask) {
    if (failure_.empty() && (mask & warp.Live()) == lanes) return lanes;
  }
  return 0;
}

}  // namespace fallow::ptx
