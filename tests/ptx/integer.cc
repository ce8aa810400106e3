// Arithmetic of integers. Sums and products wrap around.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "tests/ptx/lane_wise.h"

namespace fallow::ptx {
namespace {

// Signed numbers are extended, so the low bits are right whatever the type.
struct Add {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
  }
};

struct Subtract {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
  }
};

struct MultiplyLow {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
  }
};

struct MultiplyHigh {
  template <typename T>
  T operator()(T a, T b) const {
    using Wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
    return static_cast<T>(static_cast<Wide>(a) * b >> (8 * sizeof(T)));
  }
};

template <typename Multiply>
struct MultiplyAdd {
  template <typename T>
  T operator()(T a, T b, T c) const {
    return Add()(Multiply()(a, b), c);
  }
};

// By zero: all bits set, as devices do.
struct Divide {
  template <typename T>
  T operator()(T a, T b) const {
    if (b == 0) return static_cast<T>(-1);
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) return Subtract()(T{0}, a);
    return static_cast<T>(a / b);
  }
};

struct Remainder {
  template <typename T>
  T operator()(T a, T b) const {
    if (b == 0) return a;
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) return 0;
    return static_cast<T>(a % b);
  }
};

template <int kInputs, typename Operation>
void Bind(Instruction& instruction) {
  if (instruction.HasOnly({})) BindInteger<kInputs>(instruction, Operation());
}

// d = a * b, or with three inputs a * b + c, of twice the width.
template <typename T, typename Wide, int kInputs>
Semantics WideProduct() {
  return [](Step& step) {
    ForEachLane(step.lanes, [&](int lane) {
      Wide result = static_cast<Wide>(step.Read<T>(1, lane)) * step.Read<T>(2, lane);
      if constexpr (kInputs == 3) result = Add()(result, step.Read<Wide>(3, lane));
      step.Write(0, lane, result);
    });
  };
}

template <int kInputs>
Semantics WideProductOf(Type type) {
  switch (type) {
    case Type::kU16:
      return WideProduct<std::uint16_t, std::uint32_t, kInputs>();
    case Type::kS16:
      return WideProduct<std::int16_t, std::int32_t, kInputs>();
    case Type::kU32:
      return WideProduct<std::uint32_t, std::uint64_t, kInputs>();
    case Type::kS32:
      return WideProduct<std::int32_t, std::int64_t, kInputs>();
    default:
      return nullptr;
  }
}

void BindMultiply(Instruction& instruction) {
  if (instruction.HasOnly({"wide"}))
    SetMeaning(instruction, 3, WideProductOf<2>(instruction.type()));
  if (instruction.HasOnly({"hi"})) BindInteger<2>(instruction, MultiplyHigh());
  if (instruction.HasOnly({"lo"})) BindInteger<2>(instruction, MultiplyLow());
}

void BindMultiplyAdd(Instruction& instruction) {
  if (instruction.HasOnly({"wide"}))
    SetMeaning(instruction, 4, WideProductOf<3>(instruction.type()));
  if (instruction.HasOnly({"hi"})) BindInteger<3>(instruction, MultiplyAdd<MultiplyHigh>());
  if (instruction.HasOnly({"lo"})) BindInteger<3>(instruction, MultiplyAdd<MultiplyLow>());
}

void BindMinimum(Instruction& instruction) {
  if (!instruction.HasOnly({})) return;
  BindInteger<2>(instruction, [](auto a, auto b) { return std::min(a, b); });
}

void BindMaximum(Instruction& instruction) {
  if (!instruction.HasOnly({})) return;
  BindInteger<2>(instruction, [](auto a, auto b) { return std::max(a, b); });
}

void BindNegate(Instruction& instruction) {
  if (!instruction.HasOnly({})) return;
  BindInteger<1>(instruction, [](auto a) { return Subtract()(decltype(a){0}, a); });
}

void BindAbsolute(Instruction& instruction) {
  if (!instruction.HasOnly({})) return;
  BindInteger<1>(instruction, [](auto a) { return a < 0 ? Subtract()(decltype(a){0}, a) : a; });
}

// d = c + the sum of the products of four bytes of a and b, each signed or not.
void BindDotProduct(Instruction& instruction) {
  const Type a = instruction.type(0);
  const Type b = instruction.type(1);
  const auto known = [](Type type) { return type == Type::kS32 || type == Type::kU32; };
  if (!instruction.HasOnly({}) || !known(a) || !known(b)) return;
  SetMeaning(instruction, 4, [a, b](Step& step) {
    const auto byte = [](std::uint32_t word, int i, Type type) -> std::uint32_t {
      const auto bits = static_cast<std::uint8_t>(word >> (8 * i));
      return type == Type::kS32 ? static_cast<std::int8_t>(bits) : bits;
    };
    ForEachLane(step.lanes, [&](int lane) {
      auto sum = step.Read<std::uint32_t>(3, lane);
      for (int i = 0; i < 4; ++i) {
        sum += byte(step.Read<std::uint32_t>(1, lane), i, a) *
               byte(step.Read<std::uint32_t>(2, lane), i, b);
      }
      step.Write(0, lane, static_cast<std::int32_t>(sum));
    });
  });
}

}  // namespace

std::span<const NamedBinder> IntegerBinders() {
  static constexpr NamedBinder kBinders[] = {
      {"add", Bind<2, Add>},       {"sub", Bind<2, Subtract>}, {"div", Bind<2, Divide>},
      {"rem", Bind<2, Remainder>}, {"mul", BindMultiply},      {"mad", BindMultiplyAdd},
      {"min", BindMinimum},        {"max", BindMaximum},       {"neg", BindNegate},
      {"abs", BindAbsolute},       {"dp4a", BindDotProduct},
  };
  return kBinders;
}

}  // namespace fallow::ptx
