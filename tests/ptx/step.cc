#include "tests/ptx/step.h"

#include "absl/strings/str_cat.h"

namespace fallow::ptx {

void Step::Fail(const std::string& what, int lane) {
  if (failed()) return;
  failure = absl::StrCat("line ", instruction.line, ": ", what, ": ", instruction.source);
  const Extent& block = place.index;
  absl::StrAppend(&failure, " [block ", block.x, ",", block.y, ",", block.z);
  if (lane >= 0) absl::StrAppend(&failure, " thread ", warp.first_thread + lane);
  absl::StrAppend(&failure, "]");
}

std::uint64_t Step::Bits(const Operand& operand, int lane) {
  switch (operand.kind) {
    case Operand::Kind::kRegister:
      return warp.Register(operand.index, lane);
    case Operand::Kind::kImmediate:
      return operand.value;
    case Operand::Kind::kSpecial:
      return SpecialBits(operand.special, lane);
    default:
      Fail("an operand that cannot be read");
      return 0;
  }
}

std::uint64_t Step::SpecialBits(Special special, int lane) const {
  const unsigned thread = warp.first_thread + lane;
  const Extent& block = place.block;
  switch (special) {
    case Special::kThreadX:
      return thread % block.x;
    case Special::kThreadY:
      return thread / block.x % block.y;
    case Special::kThreadZ:
      return thread / block.x / block.y;
    case Special::kThreadsX:
      return block.x;
    case Special::kThreadsY:
      return block.y;
    case Special::kThreadsZ:
      return block.z;
    case Special::kBlockX:
      return place.index.x;
    case Special::kBlockY:
      return place.index.y;
    case Special::kBlockZ:
      return place.index.z;
    case Special::kBlocksX:
      return place.grid.x;
    case Special::kBlocksY:
      return place.grid.y;
    case Special::kBlocksZ:
      return place.grid.z;
    case Special::kLane:
      return lane;
    case Special::kWarp:
      return warp.first_thread / kWarpSize;
    case Special::kLanesBelow:
      return (1u << lane) - 1;
    case Special::kNone:
      break;
  }
  return 0;
}

}  // namespace fallow::ptx
