// ldmatrix and mma, written from the side of the elements: which lane and register holds A[r][c].
// Source: PTX ISA, "Matrix fragments for mma.m16n8k16" and its neighbours.
//
// A device adds the products of an mma in an order and precision of its own. Here the sum is a
// double, and rounded once.
#include <array>
#include <cstring>
#include <type_traits>

#include "tests/ptx/lane_wise.h"

namespace fallow::ptx {
namespace {

void SetWholeWarpMeaning(Instruction& instruction, std::size_t operands, Semantics run) {
  SetMeaning(instruction, operands, std::move(run));
  if (instruction.flow == Flow::kNext) instruction.flow = Flow::kWarp;
}

bool IsWholeWarp(Step& step) {
  if (step.lanes != ~0u) step.Fail("needs all 32 lanes of the warp");
  return !step.failed();
}

// Matrix m of 8 rows of 16 bytes lies where lanes [8 m, 8 m + 8) say.
void LoadMatrices(Step& step, bool transposed) {
  if (!IsWholeWarp(step)) return;
  const Operand& registers = step.operand(0);
  const int matrices = static_cast<int>(registers.elements.size());
  std::uint16_t elements[4][8][8];
  for (int row = 0; row < 8 * matrices; ++row) {
    const std::byte* at = step.At(Space::kShared, step.Address(1, row), 16, Access::kRead, row);
    if (at == nullptr) return;
    std::memcpy(elements[row / 8][row % 8], at, 16);
  }
  for (int m = 0; m < matrices; ++m) {
    ForEachLane(step.lanes, [&](int lane) {
      const int row = lane / 4;
      const int column = lane % 4 * 2;
      const auto at = [&](int c) {
        return std::uint32_t{transposed ? elements[m][c][row] : elements[m][row][c]};
      };
      step.Write(registers.elements[m], lane, at(column) | at(column + 1) << 16);
    });
  }
}

void BindLoadMatrix(Instruction& instruction) {
  if (!instruction.HasOnly(
          {"sync", "aligned", "m8n8", "x1", "x2", "x4", "trans", "shared", "shared::cta"})) {
    return;
  }
  const std::size_t matrices = instruction.Has("x4") ? 4 : instruction.Has("x2") ? 2 : 1;
  if (instruction.operands.empty() || instruction.operands[0].elements.size() != matrices) return;
  const bool transposed = instruction.Has("trans");
  SetWholeWarpMeaning(instruction, 2, [transposed](Step& step) { LoadMatrices(step, transposed); });
}

// D = A B + C. A is [m, k], B is [k, 8], C and D are [m, 8].
struct Shape {
  int m, k;
};

// Where an element is: part `part` of register `index` of a lane.
struct Element {
  int lane, index, part;
};

// Registers hold kParts elements that are neighbours along k, and four lanes share a row of 4 x
// kParts columns; further rows and then further columns lie in further registers.
template <int kParts>
Element InA(Shape shape, int row, int k) {
  const int columns = 4 * kParts;
  return {row % 8 * 4 + k % columns / kParts, row / 8 + shape.m / 8 * (k / columns), k % kParts};
}

template <int kParts>
Element InB(int k, int column) {
  const int columns = 4 * kParts;
  return {column * 4 + k % columns / kParts, k / columns, k % kParts};
}

// As registers of 32 bits; of two halves each, `index` is that of the pair.
Element InC(int row, int column, int parts) {
  const int i = row / 8 * 2 + column % 2;
  return {row % 8 * 4 + column / 2, i / parts, i % parts};
}

template <typename T>
auto ElementOf(Step& step, int operand, const Element& element) {
  constexpr int kBits = 8 * sizeof(T);
  const auto bits =
      step.Read<std::uint32_t>(step.operand(operand).elements[element.index], element.lane);
  const T value = FromRegister<T>(bits >> (kBits * element.part));
  if constexpr (IsFloat16<T>::value) {
    return value.Value();
  } else if constexpr (std::is_integral_v<T>) {
    return std::int64_t{value};
  } else {
    return double{value};
  }
}

// Accumulators of 16 bits lie two in a register.
template <typename Sum>
constexpr int kSumParts = 4 / sizeof(Sum);

template <typename A, typename B, typename Sum>
Sum Product(Step& step, Shape shape, int row, int column) {
  constexpr int kParts = 4 / sizeof(A);
  decltype(ElementOf<A>(step, 1, {})) sum = 0;
  for (int k = 0; k < shape.k; ++k) {
    sum += ElementOf<A>(step, 1, InA<kParts>(shape, row, k)) *
           ElementOf<B>(step, 2, InB<kParts>(k, column));
  }
  sum += ElementOf<Sum>(step, 3, InC(row, column, kSumParts<Sum>));
  if constexpr (IsFloat16<Sum>::value) {
    return Sum::From(sum);
  } else {
    return static_cast<Sum>(sum);
  }
}

template <typename A, typename B, typename Sum>
void MultiplyMatrices(Step& step, Shape shape) {
  if (!IsWholeWarp(step)) return;
  std::uint32_t result[kWarpSize][4] = {};  // C may be where D goes
  for (int row = 0; row < shape.m; ++row) {
    for (int column = 0; column < 8; ++column) {
      const Element to = InC(row, column, kSumParts<Sum>);
      const std::uint64_t bits = ToRegister(Product<A, B, Sum>(step, shape, row, column));
      result[to.lane][to.index] |= static_cast<std::uint32_t>(bits) << (8 * sizeof(Sum) * to.part);
    }
  }
  const Operand& registers = step.operand(0);
  ForEachLane(step.lanes, [&](int lane) {
    for (std::size_t i = 0; i < registers.elements.size(); ++i) {
      step.Write(registers.elements[i], lane, result[lane][i]);
    }
  });
}

template <typename A, typename B, typename Sum>
Semantics MultiplyFor(const Instruction& instruction, Shape shape) {
  const int a_registers = shape.m * shape.k * static_cast<int>(sizeof(A)) / 128;
  const int b_registers = 8 * shape.k * static_cast<int>(sizeof(B)) / 128;
  const int c_registers = shape.m * 8 * static_cast<int>(sizeof(Sum)) / 128;
  const int wanted[] = {c_registers, a_registers, b_registers, c_registers};
  for (int i = 0; i < 4; ++i) {
    if (static_cast<int>(instruction.operands[i].elements.size()) != wanted[i]) return nullptr;
  }
  return [shape](Step& step) { MultiplyMatrices<A, B, Sum>(step, shape); };
}

// By the types of D, A, B and C.
Semantics MultiplyOf(const Instruction& instruction, Shape shape) {
  const std::vector<Type>& types = instruction.types;
  using enum Type;
  if (types == std::vector{kF32, kBf16, kBf16, kF32}) {
    return MultiplyFor<Bf16, Bf16, float>(instruction, shape);
  }
  if (types == std::vector{kF32, kF16, kF16, kF32}) {
    return MultiplyFor<Fp16, Fp16, float>(instruction, shape);
  }
  if (types == std::vector{kF16, kF16, kF16, kF16}) {
    return MultiplyFor<Fp16, Fp16, Fp16>(instruction, shape);
  }
  if (types == std::vector{kS32, kS8, kS8, kS32}) {
    return MultiplyFor<std::int8_t, std::int8_t, std::int32_t>(instruction, shape);
  }
  if (types == std::vector{kS32, kU8, kS8, kS32}) {
    return MultiplyFor<std::uint8_t, std::int8_t, std::int32_t>(instruction, shape);
  }
  return nullptr;
}

void BindMultiply(Instruction& instruction) {
  static constexpr std::pair<std::string_view, Shape> kShapes[] = {
      {"m8n8k16", {8, 16}}, {"m16n8k8", {16, 8}}, {"m16n8k16", {16, 16}}, {"m16n8k32", {16, 32}}};
  if (instruction.operands.size() != 4) return;
  for (const auto& [name, shape] : kShapes) {
    if (!instruction.HasOnly({"sync", "aligned", name, "row", "col"})) continue;
    SetWholeWarpMeaning(instruction, 4, MultiplyOf(instruction, shape));
  }
}

}  // namespace

std::span<const NamedBinder> MatrixBinders() {
  static constexpr NamedBinder kBinders[] = {{"ldmatrix", BindLoadMatrix}, {"mma", BindMultiply}};
  return kBinders;
}

}  // namespace fallow::ptx
