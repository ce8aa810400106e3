// Instructions by which the lanes of a warp talk to each other.
#include <algorithm>
#include <array>
#include <optional>

#include "tests/ptx/lane_wise.h"

namespace fallow::ptx {
namespace {

void SetWarpMeaning(Instruction& instruction, std::size_t operands, int mask_operand,
                    Semantics run) {
  SetMeaning(instruction, operands, std::move(run));
  if (instruction.flow != Flow::kNext) return;
  instruction.flow = Flow::kWarp;
  instruction.mask_operand = mask_operand;
}

enum class ShuffleMode { kUp, kDown, kButterfly, kIndex };

// Which lane a lane reads; none if it keeps its own. In segments of a warp, as `control` says.
std::optional<int> ShuffleSource(ShuffleMode mode, int lane, std::uint32_t b,
                                 std::uint32_t control) {
  const int by = static_cast<int>(b & 31);
  const int clamp = static_cast<int>(control & 31);
  const int segment = static_cast<int>(control >> 8 & 31);
  const int last = (lane & segment) | (clamp & ~segment);
  switch (mode) {
    case ShuffleMode::kUp:
      return lane - by >= last ? std::optional(lane - by) : std::nullopt;
    case ShuffleMode::kDown:
      return lane + by <= last ? std::optional(lane + by) : std::nullopt;
    case ShuffleMode::kButterfly:
      return (lane ^ by) <= last ? std::optional(lane ^ by) : std::nullopt;
    case ShuffleMode::kIndex:
      break;
  }
  const int source = (lane & segment) | (by & ~segment);
  return source <= last ? std::optional(source) : std::nullopt;
}

void Shuffle(Step& step, ShuffleMode mode) {
  std::array<std::uint32_t, kWarpSize> values{};
  ForEachLane(step.lanes, [&](int lane) { values[lane] = step.Read<std::uint32_t>(1, lane); });
  std::array<std::optional<int>, kWarpSize> sources;
  ForEachLane(step.lanes, [&](int lane) {
    sources[lane] = ShuffleSource(mode, lane, step.Read<std::uint32_t>(2, lane),
                                  step.Read<std::uint32_t>(3, lane));
  });
  ForEachLane(step.lanes, [&](int lane) {
    const int source = sources[lane].value_or(lane);
    if (!(step.lanes >> source & 1)) {
      return step.Fail("reads a lane that does not take part", lane);
    }
    step.Write(0, lane, values[source]);
    const int partner = step.operand(0).partner;
    if (partner >= 0) step.warp.Register(partner, lane) = sources[lane].has_value();
  });
}

void BindShuffle(Instruction& instruction) {
  if (!instruction.HasOnly({"sync", "up", "down", "bfly", "idx"})) return;
  if (!instruction.Has("sync") || instruction.type() != Type::kB32) return;
  ShuffleMode mode = ShuffleMode::kIndex;
  if (instruction.Has("up")) mode = ShuffleMode::kUp;
  if (instruction.Has("down")) mode = ShuffleMode::kDown;
  if (instruction.Has("bfly")) mode = ShuffleMode::kButterfly;
  SetWarpMeaning(instruction, 5, 4, [mode](Step& step) { Shuffle(step, mode); });
}

void BindVote(Instruction& instruction) {
  if (!instruction.HasOnly({"sync", "all", "any", "ballot"}) || !instruction.Has("sync")) return;
  const bool all = instruction.Has("all");
  const bool ballot = instruction.Has("ballot");
  SetWarpMeaning(instruction, 3, 2, [all, ballot](Step& step) {
    std::uint32_t votes = 0;
    ForEachLane(step.lanes,
                [&](int lane) { votes |= std::uint32_t{step.Read<bool>(1, lane)} << lane; });
    const std::uint32_t agreed = all ? votes == step.lanes : votes != 0;
    ForEachLane(step.lanes, [&](int lane) { step.Write(0, lane, ballot ? votes : agreed); });
  });
}

// match.any: who has the same value. match.all: everybody, if all values are the same.
void BindMatch(Instruction& instruction) {
  if (!instruction.HasOnly({"sync", "any", "all"}) || !instruction.Has("sync")) return;
  const bool all = instruction.Has("all");
  const std::uint64_t bits = BytesOf(instruction.type()) == 8 ? ~std::uint64_t{0} : 0xffffffff;
  SetWarpMeaning(instruction, 3, 2, [all, bits](Step& step) {
    std::array<std::uint32_t, kWarpSize> same{};
    ForEachLane(step.lanes, [&](int lane) {
      ForEachLane(step.lanes, [&](int other) {
        const std::uint64_t difference =
            step.Read<std::uint64_t>(1, lane) ^ step.Read<std::uint64_t>(1, other);
        if ((difference & bits) == 0) same[lane] |= 1u << other;
      });
    });
    ForEachLane(step.lanes, [&](int lane) {
      const bool agreed = same[lane] == step.lanes;
      const int partner = step.operand(0).partner;
      step.Write(0, lane, all && !agreed ? 0 : same[lane]);
      if (partner >= 0) step.warp.Register(partner, lane) = agreed;
    });
  });
}

template <typename T>
T Reduced(const Instruction& instruction, T a, T b) {
  if (instruction.Has("min")) return std::min(a, b);
  if (instruction.Has("max")) return std::max(a, b);
  if (instruction.Has("and")) return a & b;
  if (instruction.Has("or")) return a | b;
  if (instruction.Has("xor")) return a ^ b;
  return static_cast<T>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
}

template <typename T>
void Reduce(Step& step) {
  std::optional<T> result;
  ForEachLane(step.lanes, [&](int lane) {
    const T value = step.Read<T>(1, lane);
    result = result ? Reduced(step.instruction, *result, value) : value;
  });
  ForEachLane(step.lanes, [&](int lane) { step.Write(0, lane, *result); });
}

void BindReduce(Instruction& instruction) {
  if (!instruction.HasOnly({"sync", "add", "min", "max", "and", "or", "xor"})) return;
  if (BytesOf(instruction.type()) != 4) return;
  const bool is_signed = instruction.type() == Type::kS32;
  SetWarpMeaning(instruction, 3, 2, is_signed ? Reduce<std::int32_t> : Reduce<std::uint32_t>);
}

void BindActiveMask(Instruction& instruction) {
  if (!instruction.HasOnly({})) return;
  SetMeaning(instruction, 1, [](Step& step) {
    ForEachLane(step.lanes, [&](int lane) { step.Write(0, lane, step.lanes); });
  });
}

void BindWarpBarrier(Instruction& instruction) {
  if (!instruction.HasOnly({"warp", "sync"}) || !instruction.Has("warp")) return;
  SetWarpMeaning(instruction, 1, 0, [](Step&) {});
}

}  // namespace

std::span<const NamedBinder> LaneBinders() {
  static constexpr NamedBinder kBinders[] = {
      {"shfl", BindShuffle}, {"vote", BindVote},       {"match", BindMatch},
      {"redux", BindReduce}, {"bar", BindWarpBarrier}, {"activemask", BindActiveMask},
  };
  return kBinders;
}

}  // namespace fallow::ptx
