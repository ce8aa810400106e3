#include "tests/ptx/semantics.h"

#include <map>

namespace fallow::ptx {
namespace {

// add, min and others are there for integers and floats: of binders of one name the first that
// understands the instruction counts.
std::multimap<std::string_view, Binder> AllBinders() {
  std::multimap<std::string_view, Binder> all;
  for (const auto& binders :
       {IntegerBinders(), FloatBinders(), LogicBinders(), ConversionBinders(), MemoryBinders(),
        AtomicBinders(), AsyncCopyBinders(), ControlBinders(), LaneBinders(), MatrixBinders()}) {
    for (const NamedBinder& binder : binders) all.emplace(binder.opcode, binder.bind);
  }
  return all;
}

}  // namespace

void GiveMeaning(Instruction& instruction) {
  static const std::multimap<std::string_view, Binder> binders = AllBinders();
  const auto [begin, end] = binders.equal_range(instruction.opcode);
  for (auto binder = begin; binder != end && instruction.flow == Flow::kUnknown; ++binder) {
    binder->second(instruction);
  }
}

}  // namespace fallow::ptx
