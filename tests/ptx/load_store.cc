// mov, ld, st and addresses.
#include <algorithm>
#include <cstring>

#include "tests/ptx/lane_wise.h"
#include "tests/ptx/spaces.h"

namespace fallow::ptx {

std::optional<Space> SpaceOf(const Instruction& instruction) {
  std::optional<Space> space = Space::kGeneric;
  for (const std::string& modifier : instruction.modifiers) {
    if (modifier == "shared" || modifier == "shared::cta") space = Space::kShared;
    if (modifier == "global" || modifier == "const") space = Space::kGlobal;
    if (modifier == "local") space = Space::kLocal;
    if (modifier == "param") space = Space::kParameter;
    if (modifier == "shared::cluster") return std::nullopt;
  }
  return space;
}

namespace {

bool HasOnlyKnown(const Instruction& instruction) {
  return instruction.HasOnly({"global",
                              "shared",
                              "shared::cta",
                              "local",
                              "param",
                              "const",
                              "nc",
                              "volatile",
                              "relaxed",
                              "acquire",
                              "release",
                              "weak",
                              "cta",
                              "gpu",
                              "sys",
                              "L1::no_allocate",
                              "L1::evict_first",
                              "L1::evict_last",
                              "L2::64B",
                              "L2::128B",
                              "L2::256B",
                              "v2",
                              "v4",
                              "v8",
                              "ca",
                              "cg",
                              "cs",
                              "lu",
                              "wb",
                              "wt"});
}

bool IsSigned(Type type) { return type == Type::kS8 || type == Type::kS16 || type == Type::kS32; }

std::uint64_t Extended(std::uint64_t bits, Type type) {
  if (!IsSigned(type)) return bits;
  const int unused = 64 - 8 * BytesOf(type);
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(bits << unused) >> unused);
}

// The registers of a vector operand, or the one that is none.
std::span<const Operand> ElementsOf(const Operand& operand) {
  if (operand.kind == Operand::Kind::kVector) return operand.elements;
  return {&operand, 1};
}

// A vector is one access, aligned to its whole size.
void Load(Step& step, Space space) {
  const Type type = step.instruction.type();
  const int bytes = BytesOf(type);
  const std::span<const Operand> registers = ElementsOf(step.operand(0));
  ForEachLane(step.lanes, [&](int lane) {
    const std::int64_t total = bytes * static_cast<std::int64_t>(registers.size());
    const std::byte* from = step.At(space, step.Address(1, lane), total, Access::kRead, lane);
    for (std::size_t i = 0; from != nullptr && i < registers.size(); ++i) {
      std::uint64_t bits = 0;
      std::memcpy(&bits, from + i * bytes, bytes);
      step.Write(registers[i], lane, Extended(bits, type));
    }
  });
}

void Store(Step& step, Space space) {
  const int bytes = BytesOf(step.instruction.type());
  const std::span<const Operand> registers = ElementsOf(step.operand(1));
  ForEachLane(step.lanes, [&](int lane) {
    const std::int64_t total = bytes * static_cast<std::int64_t>(registers.size());
    std::byte* to = step.At(space, step.Address(0, lane), total, Access::kWrite, lane);
    for (std::size_t i = 0; to != nullptr && i < registers.size(); ++i) {
      const auto bits = step.Read<std::uint64_t>(registers[i], lane);
      std::memcpy(to + i * bytes, &bits, bytes);
    }
  });
}

template <void (*kRun)(Step&, Space)>
void BindAccess(Instruction& instruction) {
  const std::optional<Space> space = SpaceOf(instruction);
  if (!HasOnlyKnown(instruction) || !space || instruction.types.size() != 1) return;
  SetMeaning(instruction, 2, [space = *space](Step& step) { kRun(step, space); });
}

// mov.b64 {a, b}, c and back; anything else is copied as it is.
void Move(Step& step) {
  const std::span<const Operand> to = ElementsOf(step.operand(0));
  const std::span<const Operand> from = ElementsOf(step.operand(1));
  const int pieces = static_cast<int>(std::max(to.size(), from.size()));
  const int bits = 8 * BytesOf(step.instruction.type()) / pieces;
  const std::uint64_t mask = bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
  ForEachLane(step.lanes, [&](int lane) {
    std::uint64_t whole = step.Read<std::uint64_t>(from[0], lane);
    if (from.size() > 1) whole = 0;
    for (std::size_t i = 0; from.size() > 1 && i < from.size(); ++i) {
      whole |= (step.Read<std::uint64_t>(from[i], lane) & mask) << (i * bits);
    }
    for (std::size_t i = 0; i < to.size(); ++i) {
      step.Write(to[i], lane, to.size() > 1 ? whole >> (i * bits) & mask : whole);
    }
  });
}

void BindMove(Instruction& instruction) {
  if (instruction.HasOnly({})) SetMeaning(instruction, 2, Move);
}

std::uint64_t WindowOf(Space space) {
  switch (space) {
    case Space::kShared:
      return kSharedWindow;
    case Space::kLocal:
      return kLocalWindow;
    case Space::kParameter:
      return kParameterWindow;
    default:
      return 0;
  }
}

// cvta.shared: from shared to generic; cvta.to.shared: the other way.
void BindAddress(Instruction& instruction) {
  const std::optional<Space> space = SpaceOf(instruction);
  if (!instruction.HasOnly({"to", "global", "shared", "shared::cta", "local", "param", "const"}) ||
      !space) {
    return;
  }
  const std::uint64_t window = WindowOf(*space);
  const std::uint64_t add = instruction.Has("to") ? -window : window;
  SetMeaning(instruction, 2,
             EachLane<std::uint64_t, 1>([add](std::uint64_t address) { return address + add; }));
}

}  // namespace

std::span<const NamedBinder> MemoryBinders() {
  static constexpr NamedBinder kBinders[] = {
      {"mov", BindMove},
      {"ld", BindAccess<Load>},
      {"st", BindAccess<Store>},
      {"cvta", BindAddress},
  };
  return kBinders;
}

}  // namespace fallow::ptx
