// Norms on sixteen lanes. The exact class's order (exact.cc) costs nothing, so all arithmetics have
// it: its 128 partial sums are eight vectors.
#include <cstring>

#include "kernels/cpu/vector_math.h"
#include "kernels/functions.h"
#include "kernels/norm/norm.h"

namespace fallow::FALLOW_ISA {
namespace {

constexpr int kSums = exact::kNormLanes / 16;

// Lanes from `count` on are `padding`.
FALLOW_INLINE Floats LoadPadded(const float* p, std::int64_t count, float padding) {
  if (count >= 16) return Load(p);
  float lanes[16];
  Store(Broadcast(padding), lanes);
  std::memcpy(lanes, p, sizeof(float) * static_cast<std::size_t>(count));
  return Load(lanes);
}

// Folds x into partial sums by add(sum, lanes); `padding` is a number that adds nothing.
template <typename Add>
FALLOW_INLINE float SumOver(const float* x, std::int64_t n, float padding, Add add) {
  Floats sum[kSums];
  for (Floats& s : sum) s = Zero();
  std::int64_t i = 0;
  for (; i + exact::kNormLanes <= n; i += exact::kNormLanes) {
    FALLOW_UNROLL for (int j = 0; j < kSums; ++j) sum[j] = add(sum[j], Load(x + i + 16 * j));
  }
  for (int j = 0; i < n; i += 16, ++j) sum[j] = add(sum[j], LoadPadded(x + i, n - i, padding));
  const Floats even = (sum[0] + sum[4]) + (sum[2] + sum[6]);
  const Floats odd = (sum[1] + sum[5]) + (sum[3] + sum[7]);
  return TreeSum(even + odd);
}

float Mean(const float* x, std::int64_t n) {
  const auto add = [](Floats sum, Floats v) { return sum + v; };
  return SumOver(x, n, 0.0f, add) / static_cast<float>(n);
}

float InverseDeviation(const float* x, std::int64_t n, float mean, float epsilon) {
  const Floats centre = Broadcast(mean);
  const auto add = [centre](Floats sum, Floats v) {
    const Floats centred = v - centre;
    return Fma(centred, centred, sum);
  };
  return 1.0f / exact::Sqrt(SumOver(x, n, mean, add) / static_cast<float>(n) + epsilon);
}

struct RowNorm {
  const float* x;
  float mean;
  float inverse;
};

FALLOW_INLINE Floats Scaled(const NormArgs& args, const RowNorm& row, std::int64_t i,
                            std::int64_t count) {
  const auto load = [count](const float* p) { return count >= 16 ? Load(p) : LoadFirst(p, count); };
  const Floats scaled = (load(row.x + i) - Broadcast(row.mean)) * Broadcast(row.inverse);
  const Floats weight = load(args.weight + i);
  if (args.layer && args.bias) return Fma(scaled, weight, load(args.bias + i));
  return scaled * weight;
}

// Columns [begin, end) of the row, to y[0 … end - begin).
void WriteColumns(const NormArgs& args, const RowNorm& row, std::int64_t begin, std::int64_t end,
                  float* y) {
  std::int64_t i = begin;
  for (; i + 16 <= end; i += 16) Store(Scaled(args, row, i, 16), y + (i - begin));
  if (i < end) StoreFirst(Scaled(args, row, i, end - i), y + (i - begin), end - i);
}

void WriteActivations(const NormArgs& args, const RowNorm& norm, std::int64_t row) {
  constexpr std::int64_t kColumns = 256;
  alignas(64) float y[kColumns];
  for (std::int64_t begin = 0; begin < args.n; begin += kColumns) {
    const std::int64_t end = begin + kColumns < args.n ? begin + kColumns : args.n;
    WriteColumns(args, norm, begin, end, y);
    ToActivations({.x = y,
                   .rows = args.rows,
                   .n = end - begin,
                   .stride = 0,
                   .column = begin,
                   .out = args.out},
                  {row, row + 1});
  }
}

}  // namespace

void Norm(const NormArgs& args, Range rows) {
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const float* x = args.x + row * args.n;
    const float mean = args.layer ? Mean(x, args.n) : 0.0f;
    const RowNorm norm{x, mean, InverseDeviation(x, args.n, mean, args.epsilon)};
    if (args.values) {
      WriteColumns(args, norm, 0, args.n, args.values + row * args.n);
    } else {
      WriteActivations(args, norm, row);
    }
  }
}

}  // namespace fallow::FALLOW_ISA
