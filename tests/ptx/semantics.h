// What each instruction means.
//
// A binder looks at one instruction, and if it understands all of it (opcode, every modifier, the
// number of operands) sets flow, run and mask_operand; else it leaves kUnknown. So a modifier that
// nobody thought of is an error, never ignored. Source: the PTX ISA, version 9.0, chapter 9.7.
#pragma once

#include <span>
#include <string_view>

#include "tests/ptx/program.h"

namespace fallow::ptx {

void GiveMeaning(Instruction& instruction);

using Binder = void (*)(Instruction&);
struct NamedBinder {
  std::string_view opcode;
  Binder bind;
};

// One file each.
std::span<const NamedBinder> IntegerBinders();
std::span<const NamedBinder> FloatBinders();
std::span<const NamedBinder> LogicBinders();
std::span<const NamedBinder> ConversionBinders();
std::span<const NamedBinder> MemoryBinders();
std::span<const NamedBinder> AtomicBinders();
std::span<const NamedBinder> AsyncCopyBinders();
std::span<const NamedBinder> ControlBinders();
std::span<const NamedBinder> LaneBinders();
std::span<const NamedBinder> MatrixBinders();

}  // namespace fallow::ptx
