// Arithmetic of floats. What PTX calls approximate is computed in double and rounded to the type,
// which no device does: results that depend on it need a tolerance.
#include <cmath>
#include <optional>

#include "tests/ptx/lane_wise.h"

namespace fallow::ptx {
namespace {

struct Add {
  template <typename T>
  T operator()(T a, T b) const {
    return a + b;
  }
};
struct Subtract {
  template <typename T>
  T operator()(T a, T b) const {
    return a - b;
  }
};
struct Multiply {
  template <typename T>
  T operator()(T a, T b) const {
    return a * b;
  }
};
struct Divide {
  template <typename T>
  T operator()(T a, T b) const {
    return a / b;
  }
};
struct Fused {
  template <typename T>
  T operator()(T a, T b, T c) const {
    return std::fma(a, b, c);
  }
};

// A NaN loses against a number; -0 is less than 0.
struct Minimum {
  template <typename T>
  T operator()(T a, T b) const {
    if (a == b) return std::signbit(a) ? a : b;
    return std::fmin(a, b);
  }
};
struct Maximum {
  template <typename T>
  T operator()(T a, T b) const {
    if (a == b) return std::signbit(a) ? b : a;
    return std::fmax(a, b);
  }
};

// .NaN: a NaN wins.
template <typename Operation>
struct NanWins {
  template <typename T>
  T operator()(T a, T b) const {
    return std::isnan(a) || std::isnan(b) ? static_cast<T>(NAN) : Operation()(a, b);
  }
};

// .ftz: subnormal operands and results become zero.
template <typename Operation>
struct Flushed {
  Operation operation;

  static float Flush(float x) {
    return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
  }
  template <typename... T>
  float operator()(T... x) const {
    return Flush(operation(Flush(x)...));
  }
};

// A difference of equals, also of zeros: the sign of the result is that of the direction.
bool Cancels(double a, double b) {
  return a == -b && std::isfinite(a) && std::signbit(a) != std::signbit(b);
}

// .rz, .rm, .rp: rounded in a direction. The product of two floats is exact in a double.
template <bool kSubtracts>
struct DirectedSum {
  Direction direction;
  float operator()(float a, float b) const {
    const float right = kSubtracts ? -b : b;
    if (Cancels(a, right)) return direction == Direction::kDown ? -0.0f : 0.0f;
    return Rounded(SumOf(a, right), direction);
  }
};
struct DirectedProduct {
  Direction direction;
  float operator()(float a, float b) const { return Rounded({double{a} * b, 0}, direction); }
};
struct DirectedFused {
  Direction direction;
  float operator()(float a, float b, float c) const {
    const double product = double{a} * b;
    if (Cancels(product, c)) return direction == Direction::kDown ? -0.0f : 0.0f;
    return Rounded(SumOf(product, c), direction);
  }
};

std::optional<Direction> DirectionOf(const Instruction& instruction) {
  if (instruction.Has("rz")) return Direction::kZero;
  if (instruction.Has("rm")) return Direction::kDown;
  if (instruction.Has("rp")) return Direction::kUp;
  return std::nullopt;
}

template <int kInputs, typename Operation>
void BindDirected(Instruction& instruction) {
  const std::optional<Direction> direction = DirectionOf(instruction);
  if (!direction || instruction.type() != Type::kF32) return;
  if (!instruction.HasOnly({"rz", "rm", "rp"})) return;
  SetMeaning(instruction, kInputs + 1, EachLane<float, kInputs>(Operation{*direction}));
}

template <int kInputs, typename Operation>
void BindFloat(Instruction& instruction, Operation operation) {
  if (instruction.Has("ftz")) {
    if (instruction.type() != Type::kF32) return;
    SetMeaning(instruction, kInputs + 1, EachLane<float, kInputs>(Flushed<Operation>{operation}));
    return;
  }
  SetMeaning(instruction, kInputs + 1, ForFloat(instruction.type(), [&](auto zero) {
               return EachLane<decltype(zero), kInputs>(operation);
             }));
}

template <int kInputs, typename Operation>
void Bind(Instruction& instruction) {
  if (instruction.HasOnly({"rn", "ftz"})) BindFloat<kInputs>(instruction, Operation());
}

void BindDivide(Instruction& instruction) {
  if (instruction.HasOnly({"rn", "approx", "full", "ftz"})) BindFloat<2>(instruction, Divide());
}

void BindFused(Instruction& instruction) {
  if (!instruction.HasOnly({"rn", "ftz"})) return;
  BindFloat<3>(instruction, Fused());
  if (instruction.flow == Flow::kUnknown) return;
  const Semantics of_float16 = ForFloat16(
      instruction.type(), [](auto zero) { return EachLane<decltype(zero), 3>(FusedForFloat16); });
  if (of_float16 != nullptr) instruction.run = of_float16;
}

template <typename Operation>
void BindExtreme(Instruction& instruction) {
  if (!instruction.HasOnly({"ftz", "NaN"})) return;
  if (instruction.Has("NaN")) return BindFloat<2>(instruction, NanWins<Operation>());
  BindFloat<2>(instruction, Operation());
}

// The sign bit alone changes, also of a NaN.
template <bool kNegates>
void BindSign(Instruction& instruction) {
  std::uint64_t sign = 0;
  switch (instruction.type()) {
    case Type::kF16:
    case Type::kBf16:
      sign = 0x8000;
      break;
    case Type::kF16x2:
    case Type::kBf16x2:
      sign = 0x80008000;
      break;
    case Type::kF32:
      sign = 0x80000000;
      break;
    case Type::kF64:
      sign = std::uint64_t{1} << 63;
      break;
    default:
      return;
  }
  if (!instruction.HasOnly({})) return;
  SetMeaning(instruction, 2, EachLane<std::uint64_t, 1>([sign](std::uint64_t bits) {
               return kNegates ? bits ^ sign : bits & ~sign;
             }));
}

// d = b with the sign of a.
void BindCopySign(Instruction& instruction) {
  if (!instruction.HasOnly({}) || instruction.type() != Type::kF32) return;
  const auto operation = [](std::uint32_t a, std::uint32_t b) {
    return (a & 0x80000000) | (b & 0x7fffffff);
  };
  SetMeaning(instruction, 3, EachLane<std::uint32_t, 2>(operation));
}

// A function that is correctly rounded where PTX says .rn, and approximate otherwise.
template <double (*kFunction)(double)>
void BindFunction(Instruction& instruction) {
  if (!instruction.HasOnly({"approx", "rn", "ftz"})) return;
  BindFloat<1>(instruction, [](auto x) { return static_cast<decltype(x)>(kFunction(x)); });
}

double Reciprocal(double x) { return 1 / x; }
double ReciprocalRoot(double x) { return 1 / std::sqrt(x); }
double Root(double x) { return std::sqrt(x); }
double PowerOfTwo(double x) { return std::exp2(x); }
double LogarithmToTwo(double x) { return std::log2(x); }
double Sine(double x) { return std::sin(x); }
double Cosine(double x) { return std::cos(x); }
double HyperbolicTangent(double x) { return std::tanh(x); }

}  // namespace

std::span<const NamedBinder> FloatBinders() {
  static constexpr NamedBinder kBinders[] = {
      {"add", Bind<2, Add>},
      {"sub", Bind<2, Subtract>},
      {"mul", Bind<2, Multiply>},
      {"fma", BindFused},
      {"add", BindDirected<2, DirectedSum<false>>},
      {"sub", BindDirected<2, DirectedSum<true>>},
      {"mul", BindDirected<2, DirectedProduct>},
      {"fma", BindDirected<3, DirectedFused>},
      {"div", BindDivide},
      {"min", BindExtreme<Minimum>},
      {"max", BindExtreme<Maximum>},
      {"neg", BindSign<true>},
      {"abs", BindSign<false>},
      {"copysign", BindCopySign},
      {"rcp", BindFunction<Reciprocal>},
      {"rsqrt", BindFunction<ReciprocalRoot>},
      {"sqrt", BindFunction<Root>},
      {"ex2", BindFunction<PowerOfTwo>},
      {"lg2", BindFunction<LogarithmToTwo>},
      {"sin", BindFunction<Sine>},
      {"cos", BindFunction<Cosine>},
      {"tanh", BindFunction<HyperbolicTangent>},
  };
  return kBinders;
}

}  // namespace fallow::ptx
