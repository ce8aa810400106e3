// Rotary embedding in double, as the header's formula says.
#include "kernels/functions.h"
#include "kernels/rope/rope.h"

namespace fallow::reference {

void Rope(const RopeArgs& args, Range rows) {
  const int half = args.dims / 2;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const float* cosine = args.cosine + std::int64_t{args.position[row]} * half;
    const float* sine = args.sine + std::int64_t{args.position[row]} * half;
    for (int head = 0; head < args.heads; ++head) {
      float* x = args.x + row * args.stride + std::int64_t{head} * args.head_dim;
      for (int i = 0; i < half; ++i) {
        const double a = x[i];
        const double b = x[i + half];
        x[i] = static_cast<float>(a * cosine[i] - b * sine[i]);
        x[i + half] = static_cast<float>(b * cosine[i] + a * sine[i]);
      }
    }
  }
}

}  // namespace fallow::reference
