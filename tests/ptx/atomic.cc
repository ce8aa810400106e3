// atom and red. One lane after the other, the lowest first, which is one of the orders that a
// device may choose: sums of floats depend on it.
#include <algorithm>
#include <cstring>
#include <map>

#include "tests/ptx/lane_wise.h"
#include "tests/ptx/spaces.h"

namespace fallow::ptx {
namespace {

enum class Operation { kAdd, kMinimum, kMaximum, kAnd, kOr, kXor, kExchange, kCompareAndSwap };

const std::map<std::string_view, Operation>& Operations() {
  static const std::map<std::string_view, Operation> operations = {
      {"add", Operation::kAdd},       {"min", Operation::kMinimum},
      {"max", Operation::kMaximum},   {"and", Operation::kAnd},
      {"or", Operation::kOr},         {"xor", Operation::kXor},
      {"exch", Operation::kExchange}, {"cas", Operation::kCompareAndSwap},
  };
  return operations;
}

// What the memory holds afterwards. c is there for kCompareAndSwap.
template <typename T>
T Combine(Operation operation, T old, T b, T c) {
  switch (operation) {
    case Operation::kMinimum:
      return std::min(old, b);
    case Operation::kMaximum:
      return std::max(old, b);
    case Operation::kAnd:
      return old & b;
    case Operation::kOr:
      return old | b;
    case Operation::kXor:
      return old ^ b;
    case Operation::kExchange:
      return b;
    case Operation::kCompareAndSwap:
      return old == b ? c : old;
    case Operation::kAdd:
      break;
  }
  return static_cast<T>(static_cast<std::uint64_t>(old) + static_cast<std::uint64_t>(b));
}

template <typename T>
Semantics Atomic(Operation operation, Space space, bool returns) {
  return [=](Step& step) {
    const int address = returns ? 1 : 0;
    ForEachLane(step.lanes, [&](int lane) {
      std::byte* at = step.At(space, step.Address(address, lane), sizeof(T), Access::kRead, lane);
      if (at == nullptr) return;
      step.At(space, step.Address(address, lane), sizeof(T), Access::kWrite, lane);
      T old;
      std::memcpy(&old, at, sizeof(T));
      const T b = step.Read<T>(address + 1, lane);
      T result;
      if constexpr (std::is_integral_v<T>) {
        const bool has_c = operation == Operation::kCompareAndSwap;
        result = Combine(operation, old, b, has_c ? step.Read<T>(address + 2, lane) : T{});
      } else {
        result = Apply([](auto x, auto y) { return x + y; }, old, b);
      }
      std::memcpy(at, &result, sizeof(T));
      if (returns) step.Write(0, lane, old);
    });
  };
}

template <bool kReturns>
void BindAtomic(Instruction& instruction) {
  const auto named =
      std::find_if(instruction.modifiers.begin(), instruction.modifiers.end(),
                   [](const std::string& modifier) { return Operations().count(modifier) != 0; });
  const std::optional<Space> space = SpaceOf(instruction);
  if (named == instruction.modifiers.end() || !space) return;
  if (!instruction.HasOnly({*named, "global", "shared", "shared::cta", "relaxed", "acquire",
                            "release", "acq_rel", "cta", "gpu", "sys", "noftz"})) {
    return;
  }
  const Operation operation = Operations().at(*named);
  const auto make = [&](auto zero) { return Atomic<decltype(zero)>(operation, *space, kReturns); };
  const std::size_t operands = 2 + kReturns + (operation == Operation::kCompareAndSwap);
  Semantics run = ForInteger(instruction.type(), make);
  if (operation == Operation::kAdd && run == nullptr) run = ForFloat(instruction.type(), make);
  SetMeaning(instruction, operands, std::move(run));
}

}  // namespace

std::span<const NamedBinder> AtomicBinders() {
  static constexpr NamedBinder kBinders[] = {{"atom", BindAtomic<true>},
                                             {"red", BindAtomic<false>}};
  return kBinders;
}

}  // namespace fallow::ptx
