// One instruction, run by some lanes of a warp: what the meaning of an instruction is written with.
#pragma once

#include <cstring>
#include <string>

#include "tests/ptx/memory.h"
#include "tests/ptx/program.h"
#include "tests/ptx/values.h"
#include "tests/ptx/warp.h"

namespace fallow::ptx {

struct Extent {
  unsigned x = 1, y = 1, z = 1;
  std::int64_t Count() const { return std::int64_t{x} * y * z; }
};

// Where a block is in its grid.
struct BlockPlace {
  Extent grid, block;
  Extent index;
  bool copies_land_late = true;  // cp.async: at the wait, else at once
};

class Step {
 public:
  Step(const Instruction& instruction, std::uint32_t lanes, Warp& warp, BlockMemory& memory,
       const BlockPlace& place)
      : instruction(instruction), lanes(lanes), warp(warp), memory(memory), place(place) {}

  const Operand& operand(int i) const { return instruction.operands[i]; }
  int count() const { return static_cast<int>(instruction.operands.size()); }

  template <typename T>
  T Read(const Operand& operand, int lane) {
    const std::uint64_t bits = Bits(operand, lane);
    return FromRegister<T>(operand.negated ? ~bits : bits);
  }
  template <typename T>
  T Read(int operand_index, int lane) {
    return Read<T>(operand(operand_index), lane);
  }

  template <typename T>
  void Write(const Operand& operand, int lane, T value) {
    if (operand.kind == Operand::Kind::kNowhere) return;
    if (operand.kind != Operand::Kind::kRegister) return Fail("the result is no register");
    warp.Register(operand.index, lane) = ToRegister(value);
  }
  template <typename T>
  void Write(int operand_index, int lane, T value) {
    Write(operand(operand_index), lane, value);
  }

  // The address of a kAddress operand.
  std::uint64_t Address(int operand_index, int lane) {
    const Operand& address = operand(operand_index);
    if (address.kind != Operand::Kind::kAddress) Fail("an address expected");
    if (failed()) return 0;
    return Bits(address.elements[0], lane) + address.value;
  }

  // Checked memory; null, and a failure, if it may not be accessed.
  std::byte* At(Space space, std::uint64_t address, std::int64_t bytes, Access access, int lane) {
    Place found = memory.At(space, address, bytes, access, warp.first_thread + lane);
    if (!found.fault.empty()) Fail(found.fault, lane);
    return found.at;
  }

  // The first failure stays.
  void Fail(const std::string& what, int lane = -1);
  bool failed() const { return !failure.empty(); }

  const Instruction& instruction;
  const std::uint32_t lanes;
  Warp& warp;
  BlockMemory& memory;
  const BlockPlace& place;
  std::string failure;

 private:
  std::uint64_t Bits(const Operand& operand, int lane);
  std::uint64_t SpecialBits(Special special, int lane) const;
};

}  // namespace fallow::ptx
