// Rotary embedding on sixteen lanes, in the operations of the exact class (exact.cc).
#include "kernels/cpu/vector_math.h"
#include "kernels/functions.h"
#include "kernels/rope/rope.h"

namespace fallow::FALLOW_ISA {
namespace {

struct Pair {
  Floats first;
  Floats second;
};

FALLOW_INLINE Pair Rotate(Pair x, Floats cosine, Floats sine) {
  return {Fma(x.first, cosine, Negate(x.second * sine)), Fma(x.second, cosine, x.first * sine)};
}

FALLOW_INLINE void RotateHead(float* x, int half, const float* cosine, const float* sine) {
  int i = 0;
  for (; i + 16 <= half; i += 16) {
    const Pair y = Rotate({Load(x + i), Load(x + half + i)}, Load(cosine + i), Load(sine + i));
    Store(y.first, x + i);
    Store(y.second, x + half + i);
  }
  if (const int rest = half - i; rest > 0) {
    const Pair y = Rotate({LoadFirst(x + i, rest), LoadFirst(x + half + i, rest)},
                          LoadFirst(cosine + i, rest), LoadFirst(sine + i, rest));
    StoreFirst(y.first, x + i, rest);
    StoreFirst(y.second, x + half + i, rest);
  }
}

}  // namespace

void Rope(const RopeArgs& args, Range rows) {
  const int half = args.dims / 2;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const float* cosine = args.cosine + std::int64_t{args.position[row]} * half;
    const float* sine = args.sine + std::int64_t{args.position[row]} * half;
    for (int head = 0; head < args.heads; ++head) {
      RotateHead(args.x + row * args.stride + std::int64_t{head} * args.head_dim, half, cosine,
                 sine);
    }
  }
}

}  // namespace fallow::FALLOW_ISA
