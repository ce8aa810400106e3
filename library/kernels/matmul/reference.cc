#include "kernels/functions.h"
#include "kernels/matmul/panel_reader.h"

namespace fallow::reference {
namespace {

double WeightAt(const Panels& panels, const PanelRow& weight, std::int64_t k) {
  if (!IsQuantised(panels.type)) return weight.value(k);
  const double scale = weight.scale(k / kGroup);
  return weight.code(k) * scale + weight.minimum(k / kGroup);
}

double ActivationAt(const Activations& x, std::int64_t row, std::int64_t k) {
  const std::int64_t at = row * x.k + k;
  switch (x.arithmetic) {
    case Arithmetic::kFp32:
      return x.values[at];
    case Arithmetic::kBf16:
      return FloatFromBf16(x.bf16[at]);
    case Arithmetic::kExact:
      return static_cast<double>(x.scale[at / kGroup]) * x.codes[at];
  }
  return 0;
}

}  // namespace

void Matmul(const MatmulArgs& args, Range panels) {
  for (std::int64_t n = panels.begin * kPanelRows; n < panels.end * kPanelRows; ++n) {
    if (n >= args.weight.rows) return;
    const PanelRow weight(args.weight, n);
    for (std::int64_t m = 0; m < args.x.rows; ++m) {
      double sum = args.bias ? args.bias[n] : 0.0;
      for (std::int64_t k = 0; k < args.weight.cols; ++k) {
        sum += WeightAt(args.weight, weight, k) * ActivationAt(args.x, m, k);
      }
      float& y = args.y[m * args.stride + n];
      y = static_cast<float>(args.add ? y + sum : sum);
    }
  }
}

void Embed(const EmbedArgs& args, Range rows) {
  for (std::int64_t i = rows.begin; i < rows.end; ++i) {
    const PanelRow row(args.table, args.ids[i]);
    for (std::int64_t k = 0; k < args.table.cols; ++k) {
      const double value = WeightAt(args.table, row, k) * args.scale;
      args.out[i * args.table.cols + k] = static_cast<float>(value);
    }
  }
}

}  // namespace fallow::reference
