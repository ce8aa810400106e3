// Gated non-linearities on sixteen lanes, in the operations of the exact class (exact_math.h).
#include "kernels/cpu/vector_math.h"
#include "kernels/functions.h"
#include "kernels/glu/glu.h"

namespace fallow::FALLOW_ISA {
namespace {

template <typename Function>
FALLOW_INLINE Floats Gate(Function f, const float* gate, const float* up, std::int64_t count) {
  const auto load = [count](const float* p) { return count >= 16 ? Load(p) : LoadFirst(p, count); };
  const Floats y = f(load(gate));
  return up ? y * load(up) : y;
}

template <typename Function>
void GateRow(Function f, const GluArgs& args, std::int64_t row) {
  constexpr std::int64_t kColumns = 256;
  alignas(64) float y[kColumns];
  for (std::int64_t begin = 0; begin < args.n; begin += kColumns) {
    const std::int64_t count = begin + kColumns < args.n ? kColumns : args.n - begin;
    const float* gate = args.gate + row * args.stride + begin;
    const float* up = args.up ? args.up + row * args.stride + begin : nullptr;
    std::int64_t i = 0;
    for (; i + 16 <= count; i += 16) Store(Gate(f, gate + i, up ? up + i : up, 16), y + i);
    if (i < count) {
      StoreFirst(Gate(f, gate + i, up ? up + i : up, count - i), y + i, count - i);
    }
    ToActivations(
        {.x = y, .rows = args.rows, .n = count, .stride = 0, .column = begin, .out = args.out},
        {row, row + 1});
  }
}

}  // namespace

void Glu(const GluArgs& args, Range rows) {
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    switch (args.activation) {
      case Activation::kSilu:
        GateRow([](Floats x) { return Silu(x); }, args, row);
        break;
      case Activation::kGeluTanh:
        GateRow([](Floats x) { return GeluTanh(x); }, args, row);
        break;
      case Activation::kGeluErf:
        GateRow([](Floats x) { return GeluErf(x); }, args, row);
        break;
    }
  }
}

}  // namespace fallow::FALLOW_ISA
