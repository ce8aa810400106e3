// PTX text as data: what parser.h reads, semantics.h gives a meaning, and block.h runs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fallow::ptx {

enum class Type : std::uint8_t {
  kNone,
  kPred,
  kB8,
  kU8,
  kS8,
  kB16,
  kU16,
  kS16,
  kF16,
  kBf16,
  kB32,
  kU32,
  kS32,
  kF32,
  kF16x2,
  kBf16x2,
  kB64,
  kU64,
  kS64,
  kF64,
};

Type TypeNamed(std::string_view name);  // "u32"; kNone if it names no type
int BytesOf(Type type);

// State spaces. An address in kGeneric is a host address or lies in a window of kWindowBytes that
// stands for shared, local or parameter memory; addresses in those spaces begin at 0.
enum class Space : std::uint8_t { kGeneric, kGlobal, kShared, kLocal, kParameter };
inline constexpr std::uint64_t kWindowBytes = std::uint64_t{1} << 40;
inline constexpr std::uint64_t kSharedWindow = std::uint64_t{1}
                                               << 60;  // no host has such addresses
inline constexpr std::uint64_t kLocalWindow = kSharedWindow + kWindowBytes;
inline constexpr std::uint64_t kParameterWindow = kLocalWindow + kWindowBytes;

enum class Special : std::uint8_t {
  kNone,
  kThreadX,
  kThreadY,
  kThreadZ,
  kThreadsX,
  kThreadsY,
  kThreadsZ,
  kBlockX,
  kBlockY,
  kBlockZ,
  kBlocksX,
  kBlocksY,
  kBlocksZ,
  kLane,
  kWarp,
  kLanesBelow,
};

struct Operand {
  enum class Kind : std::uint8_t {
    kRegister,
    kImmediate,
    kSpecial,
    kVector,   // {a, b}: elements
    kAddress,  // [a + offset]: elements[0], and value is the offset
    kSymbol,   // a variable; none is left once its kernel is parsed
    kLabel,
    kNowhere,  // _
  };

  Kind kind = Kind::kImmediate;
  bool negated = false;  // !p
  Special special = Special::kNone;
  int index = -1;           // of a register
  int partner = -1;         // the second register of p|q
  std::uint64_t value = 0;  // of an immediate; added to a symbol or an address
  std::string name;         // of a symbol or label
  std::vector<Operand> elements;
};

class Step;

// What an instruction does, once it is clear which lanes do it together.
using Semantics = std::function<void(Step&)>;

enum class Flow : std::uint8_t {
  kNext,     // each lane for itself
  kBranch,   // to targets
  kExit,     // ends the lane
  kWarp,     // waits for lanes of its warp, then all of them at once
  kBarrier,  // waits for warps of its block
  kUnknown,  // not understood: its kernel does not start
};

struct Instruction {
  int line = 0;
  std::string source;                  // the line, for messages
  std::string mnemonic;                // ld.global.v4.u32
  std::string opcode;                  // ld
  std::vector<std::string> modifiers;  // global, v4, u32
  std::vector<Type> types;             // those modifiers that are types
  int guard = -1;                      // register of the predicate, -1 if none
  bool guard_negated = false;
  std::vector<Operand> operands;
  std::vector<int> targets;  // of kBranch: positions in the kernel's code

  Flow flow = Flow::kUnknown;
  Semantics run;
  int mask_operand = -1;  // of kWarp: names the lanes; -1 is the whole warp, converged

  // How often a warp has run it, and how many lanes did in all.
  std::int64_t warp_runs = 0;
  std::int64_t lane_runs = 0;

  Type type(int i = 0) const { return i < static_cast<int>(types.size()) ? types[i] : Type::kNone; }
  bool Has(std::string_view modifier) const;
  // Every modifier is a type or one of those.
  bool HasOnly(std::initializer_list<std::string_view> known) const;
};

// A parameter or variable within its space.
struct Variable {
  std::string name;
  std::int64_t offset = 0;
  std::int64_t bytes = 0;
};

struct Kernel {
  std::string name;       // mangled, as the text has it
  std::string signature;  // demangled
  std::vector<Variable> parameters;
  std::int64_t parameter_bytes = 0;
  std::int64_t shared_bytes = 0;  // static; dynamic memory begins at DynamicSharedOffset()
  std::int64_t local_bytes = 0;   // of each thread
  int max_threads = 1024;         // of a block, as __launch_bounds__ says
  int registers = 0;
  std::vector<Instruction> code;

  std::int64_t DynamicSharedOffset() const { return (shared_bytes + 127) / 128 * 128; }
};

// Kernels, and the module's variables, which live as long as it does.
struct Program {
  std::map<std::string, std::unique_ptr<Kernel>> kernels;
  struct Storage {
    std::vector<std::uint64_t> memory;  // aligned to 8
    std::int64_t bytes = 0;
  };
  std::map<std::string, Storage> variables;  // .global and .const
};

}  // namespace fallow::ptx
