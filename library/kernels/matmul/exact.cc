// The definition of kExact, and of what an embedding row is in every arithmetic.
#include <cassert>

#include "kernels/exact_math.h"
#include "kernels/functions.h"
#include "kernels/matmul/panel_reader.h"

namespace fallow::exact {
namespace {

// Sum over a group of weight code times activation code: integers, so in any order.
std::int32_t DotGroup(const PanelRow& weight, const std::int8_t* codes, std::int64_t group) {
  std::int32_t dot = 0;
  for (int i = 0; i < kGroup; ++i) dot += weight.code(group * kGroup + i) * codes[i];
  return dot;
}

// Groups in ascending order within segments of kSegmentGroups, counted from k = 0; then the
// segments in ascending order. Every sum starts at +0. Groups beyond the true K are zero and change
// nothing.
float Dot(const PanelRow& weight, WeightType type, const Activations& x, std::int64_t row) {
  const std::int64_t groups = x.k / kGroup;
  float total = 0;
  float segment = 0;
  for (std::int64_t group = 0; group < groups; ++group) {
    const std::int64_t at = row * groups + group;
    const float dot = static_cast<float>(DotGroup(weight, x.codes + at * kGroup, group));
    segment = Fma(dot, weight.scale(group) * x.scale[at], segment);
    if (type == WeightType::kQ4_1) segment = Fma(weight.minimum(group), x.scaled_sum[at], segment);
    if ((group + 1) % kSegmentGroups == 0 || group + 1 == groups) {
      total = total + segment;
      segment = 0;
    }
  }
  return total;
}

}  // namespace

void Matmul(const MatmulArgs& args, Range panels) {
  assert(args.x.arithmetic == Arithmetic::kExact && IsQuantised(args.weight.type));
  for (std::int64_t n = panels.begin * kPanelRows; n < panels.end * kPanelRows; ++n) {
    if (n >= args.weight.rows) return;
    const PanelRow weight(args.weight, n);
    for (std::int64_t m = 0; m < args.x.rows; ++m) {
      float result = Dot(weight, args.weight.type, args.x, m);
      if (args.bias) result = result + args.bias[n];
      float& y = args.y[m * args.stride + n];
      y = args.add ? y + result : result;
    }
  }
}

void Embed(const EmbedArgs& args, Range rows) {
  for (std::int64_t i = rows.begin; i < rows.end; ++i) {
    float* out = args.out + i * args.table.cols;
    UnpackRow(args.table, args.ids[i], out);
    for (std::int64_t k = 0; k < args.table.cols; ++k) out[k] = out[k] * args.scale;
  }
}

}  // namespace fallow::exact
