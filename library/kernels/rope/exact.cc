// Rotary embedding of the exact class, by definition: fma(a, cos, -(b * sin)) and
// fma(b, cos, a * sin).
#include "kernels/exact_math.h"
#include "kernels/functions.h"
#include "kernels/rope/rope.h"

namespace fallow::exact {

void Rope(const RopeArgs& args, Range rows) {
  const int half = args.dims / 2;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const float* cosine = args.cosine + std::int64_t{args.position[row]} * half;
    const float* sine = args.sine + std::int64_t{args.position[row]} * half;
    for (int head = 0; head < args.heads; ++head) {
      float* x = args.x + row * args.stride + std::int64_t{head} * args.head_dim;
      for (int i = 0; i < half; ++i) {
        const float a = x[i];
        const float b = x[i + half];
        x[i] = Fma(a, cosine[i], -(b * sine[i]));
        x[i + half] = Fma(b, cosine[i], a * sine[i]);
      }
    }
  }
}

}  // namespace fallow::exact
