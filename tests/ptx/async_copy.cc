// cp.async: copies that are under way until they are waited for, and so are read too early by who
// does not wait.
#include <cstring>

#include "tests/ptx/lane_wise.h"

namespace fallow::ptx {
namespace {

// The bytes beyond those that are valid become zero. Its place in shared memory was checked.
void Land(Step& step, const AsyncCopy& copy, int lane) {
  std::byte* to = step.At(Space::kShared, copy.to, copy.bytes, Access::kWrite, lane);
  if (to == nullptr) return;
  std::memset(to, 0, copy.bytes);
  std::memcpy(to, reinterpret_cast<const std::byte*>(copy.from), copy.valid_bytes);
}

void Begin(Step& step) {
  ForEachLane(step.lanes, [&](int lane) {
    const AsyncCopy copy{.to = step.Address(0, lane),
                         .from = step.Address(1, lane),
                         .bytes = step.Read<std::int32_t>(2, lane),
                         .valid_bytes = step.Read<std::int32_t>(step.count() - 1, lane)};
    if (copy.bytes != 4 && copy.bytes != 8 && copy.bytes != 16) step.Fail("bytes to copy", lane);
    if (copy.valid_bytes < 0 || copy.valid_bytes > copy.bytes) step.Fail("bytes to read", lane);
    if (step.failed()) return;
    if (copy.from % copy.bytes != 0) step.Fail("misaligned copy", lane);
    for (int i = 0; i < copy.valid_bytes; ++i) {
      step.At(Space::kGlobal, copy.from + i, 1, Access::kRead, lane);
    }
    step.At(Space::kShared, copy.to, copy.bytes, Access::kWrite, lane);
    if (step.failed()) return;
    if (!step.place.copies_land_late) return Land(step, copy, lane);
    step.memory.ForgetShared(copy.to, copy.bytes);
    step.warp.copies[lane].open.push_back(copy);
  });
}

void Commit(Step& step) {
  ForEachLane(step.lanes, [&](int lane) {
    AsyncQueue& queue = step.warp.copies[lane];
    queue.groups.push_back(std::move(queue.open));
    queue.open.clear();
  });
}

// Until at most that many of the newest groups are under way.
void Wait(Step& step, int lane, std::size_t groups) {
  AsyncQueue& queue = step.warp.copies[lane];
  while (queue.groups.size() > groups) {
    for (const AsyncCopy& copy : queue.groups.front()) Land(step, copy, lane);
    queue.groups.pop_front();
  }
}

void WaitForGroups(Step& step) {
  ForEachLane(step.lanes, [&](int lane) { Wait(step, lane, step.Read<std::uint32_t>(0, lane)); });
}

void WaitForAll(Step& step) {
  Commit(step);
  ForEachLane(step.lanes, [&](int lane) { Wait(step, lane, 0); });
}

void BindCopy(Instruction& instruction) {
  if (!instruction.Has("async")) return;
  if (instruction.HasOnly({"async", "commit_group"})) SetMeaning(instruction, 0, Commit);
  if (instruction.HasOnly({"async", "wait_group"})) SetMeaning(instruction, 1, WaitForGroups);
  if (instruction.HasOnly({"async", "wait_all"})) SetMeaning(instruction, 0, WaitForAll);
  if (instruction.HasOnly({"async", "ca", "cg", "shared", "shared::cta", "global", "L2::64B",
                           "L2::128B", "L2::256B"})) {
    SetMeaning(instruction, 3, Begin);
    SetMeaning(instruction, 4, Begin);
  }
}

}  // namespace

std::span<const NamedBinder> AsyncCopyBinders() {
  static constexpr NamedBinder kBinders[] = {{"cp", BindCopy}};
  return kBinders;
}

}  // namespace fallow::ptx
