// Instructions that compute one result of each lane from operands of one type.
#pragma once

#include <cstdint>
#include <utility>

#include "tests/ptx/semantics.h"
#include "tests/ptx/step.h"

namespace fallow::ptx {

// Calls make(T{}) with the C++ type; null if it is not among those.
template <typename Make>
Semantics ForInteger(Type type, Make make) {
  switch (type) {
    case Type::kU16:
    case Type::kB16:
      return make(std::uint16_t{});
    case Type::kS16:
      return make(std::int16_t{});
    case Type::kU32:
    case Type::kB32:
      return make(std::uint32_t{});
    case Type::kS32:
      return make(std::int32_t{});
    case Type::kU64:
    case Type::kB64:
      return make(std::uint64_t{});
    case Type::kS64:
      return make(std::int64_t{});
    default:
      return nullptr;
  }
}

template <typename Make>
Semantics ForFloat16(Type type, Make make) {
  switch (type) {
    case Type::kF16:
      return make(Fp16{});
    case Type::kBf16:
      return make(Bf16{});
    case Type::kF16x2:
      return make(Pair<Fp16>{});
    case Type::kBf16x2:
      return make(Pair<Bf16>{});
    default:
      return nullptr;
  }
}

template <typename Make>
Semantics ForFloat(Type type, Make make) {
  if (type == Type::kF32) return make(float{});
  if (type == Type::kF64) return make(double{});
  return ForFloat16(type, make);
}

// operation(a, b...) in T; floats of 16 bits are computed as doubles and rounded once.
template <typename Operation, typename T, typename... Same>
T Apply(const Operation& operation, T a, Same... rest) {
  if constexpr (IsPair<T>::value) {
    return {Apply(operation, a.low, rest.low...), Apply(operation, a.high, rest.high...)};
  } else if constexpr (IsFloat16<T>::value) {
    return T::From(operation(a.Value(), rest.Value()...));
  } else {
    return operation(a, rest...);
  }
}

template <typename T, typename Operation, std::size_t... kInputs>
Semantics EachLaneOf(Operation operation, std::index_sequence<kInputs...>) {
  return [operation](Step& step) {
    ForEachLane(step.lanes, [&](int lane) {
      step.Write(0, lane, Apply(operation, step.Read<T>(1 + int{kInputs}, lane)...));
    });
  };
}

// operand 0 = operation(operands 1 to kInputs)
template <typename T, int kInputs, typename Operation>
Semantics EachLane(Operation operation) {
  return EachLaneOf<T>(operation, std::make_index_sequence<kInputs>());
}

inline void SetMeaning(Instruction& instruction, std::size_t operands, Semantics run) {
  if (instruction.operands.size() != operands || run == nullptr) return;
  instruction.flow = Flow::kNext;
  instruction.run = std::move(run);
}

template <int kInputs, typename Operation>
void BindInteger(Instruction& instruction, Operation operation) {
  SetMeaning(instruction, kInputs + 1, ForInteger(instruction.type(), [&](auto zero) {
               return EachLane<decltype(zero), kInputs>(operation);
             }));
}

}  // namespace fallow::ptx
