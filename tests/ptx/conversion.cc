// cvt: between all types, with the rounding and saturation that PTX defines.
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "tests/ptx/lane_wise.h"

namespace fallow::ptx {
namespace {

template <typename Make>
Semantics ForNumber(Type type, Make make) {
  switch (type) {
    case Type::kU8:
      return make(std::uint8_t{});
    case Type::kS8:
      return make(std::int8_t{});
    case Type::kF16:
      return make(Fp16{});
    case Type::kBf16:
      return make(Bf16{});
    case Type::kF32:
      return make(float{});
    case Type::kF64:
      return make(double{});
    default:
      return ForInteger(type, make);
  }
}

struct Rounding {
  double (*whole)(double) = nullptr;  // to an integer; null where the result is to be a float
  bool towards_zero = false;          // of a float of 16 bits
  bool saturate = false;
  bool relu = false;
};

template <typename T>
double AsDouble(T value) {
  if constexpr (IsFloat16<T>::value) {
    return value.Value();
  } else {
    return static_cast<double>(value);
  }
}

// Out of range goes to the nearest end, a NaN to zero.
template <typename To>
To ToInteger(double value) {
  if (std::isnan(value)) return 0;
  if (value >= 0x1p63 && std::is_same_v<To, std::uint64_t>) {
    return value >= 0x1p64 ? std::numeric_limits<To>::max() : static_cast<To>(value);
  }
  if (value <= static_cast<double>(std::numeric_limits<To>::min())) {
    return std::numeric_limits<To>::min();
  }
  if (value >= static_cast<double>(std::numeric_limits<To>::max())) {
    return std::numeric_limits<To>::max();
  }
  return static_cast<To>(value);
}

template <typename To>
To ToFloat(double value, const Rounding& rounding) {
  if (rounding.saturate) value = value > 0 ? std::min(value, 1.0) : 0;  // of a NaN and -0 too
  if (rounding.relu && value <= 0) value = 0;
  if constexpr (IsFloat16<To>::value) {
    double (*round)(double) = &std::nearbyint;
    if (rounding.towards_zero) round = &std::trunc;
    return To::From(value, round);
  } else {
    return static_cast<To>(value);
  }
}

template <typename To, typename From>
To Convert(From value, const Rounding& rounding) {
  if constexpr (std::is_integral_v<To> && std::is_integral_v<From>) {
    if (!rounding.saturate) return static_cast<To>(value);
    const auto wide = static_cast<__int128>(value);
    return static_cast<To>(
        std::clamp<__int128>(wide, std::numeric_limits<To>::min(), std::numeric_limits<To>::max()));
  } else if constexpr (std::is_integral_v<To>) {
    return ToInteger<To>(rounding.whole(AsDouble(value)));
  } else if constexpr (std::is_same_v<To, float> && std::is_integral_v<From>) {
    return static_cast<float>(value);  // by way of double it might be rounded twice
  } else {
    const double exact = AsDouble(value);
    return ToFloat<To>(rounding.whole ? rounding.whole(exact) : exact, rounding);
  }
}

template <typename To, typename From>
Semantics ConvertLanes(const Rounding& rounding) {
  return [rounding](Step& step) {
    ForEachLane(step.lanes, [&](int lane) {
      step.Write(0, lane, Convert<To>(step.Read<From>(1, lane), rounding));
    });
  };
}

// cvt.rn.f16x2.f32 d, a, b: a becomes the high half.
template <typename To>
Semantics ConvertPair(const Rounding& rounding) {
  return [rounding](Step& step) {
    ForEachLane(step.lanes, [&](int lane) {
      const Pair<To> pair{Convert<To>(step.Read<float>(2, lane), rounding),
                          Convert<To>(step.Read<float>(1, lane), rounding)};
      step.Write(0, lane, pair);
    });
  };
}

Rounding RoundingOf(const Instruction& instruction) {
  Rounding rounding{.towards_zero = instruction.Has("rz"),
                    .saturate = instruction.Has("sat"),
                    .relu = instruction.Has("relu")};
  if (instruction.Has("rni")) rounding.whole = &std::nearbyint;
  if (instruction.Has("rzi")) rounding.whole = &std::trunc;
  if (instruction.Has("rmi")) rounding.whole = &std::floor;
  if (instruction.Has("rpi")) rounding.whole = &std::ceil;
  return rounding;
}

bool IsFloat(Type type) {
  return type == Type::kF16 || type == Type::kBf16 || type == Type::kF32 || type == Type::kF64;
}

void BindConvert(Instruction& instruction) {
  if (!instruction.HasOnly({"rn", "rz", "rni", "rzi", "rmi", "rpi", "sat", "relu"})) return;
  const Type to = instruction.type(0);
  const Type from = instruction.type(1);
  const Rounding rounding = RoundingOf(instruction);
  if (to == Type::kF16x2 && from == Type::kF32) {
    return SetMeaning(instruction, 3, ConvertPair<Fp16>(rounding));
  }
  if (to == Type::kBf16x2 && from == Type::kF32) {
    return SetMeaning(instruction, 3, ConvertPair<Bf16>(rounding));
  }
  const bool to_float16 = to == Type::kF16 || to == Type::kBf16;
  if (rounding.towards_zero && !to_float16) return;
  if (IsFloat(from) && !IsFloat(to) && rounding.whole == nullptr) return;
  SetMeaning(instruction, 2, ForNumber(to, [&](auto to_zero) {
               return ForNumber(from, [&](auto from_zero) {
                 return ConvertLanes<decltype(to_zero), decltype(from_zero)>(rounding);
               });
             }));
}

}  // namespace

std::span<const NamedBinder> ConversionBinders() {
  static constexpr NamedBinder kBinders[] = {{"cvt", BindConvert}};
  return kBinders;
}

}  // namespace fallow::ptx
