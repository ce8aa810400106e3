// Inputs of the samples, and what they must compute, in double precision.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/kernels/cuda/samples.h"
#include "tests/kernels/kernel_test.h"

namespace fallow::test {

inline std::vector<std::uint16_t> RandomBf16(std::int64_t count, Random& random) {
  std::vector<std::uint16_t> x(count);
  for (auto& v : x) v = Bf16FromFloat(random.Next());
  return x;
}

inline std::vector<float> FloatsFromBf16(const std::vector<std::uint16_t>& x) {
  std::vector<float> floats;
  for (const std::uint16_t v : x) floats.push_back(FloatFromBf16(v));
  return floats;
}

// a [m, k] times b, of which element (i, column) stands at column * b_column + i * b_k.
inline std::vector<float> ProductOf(Sizes sizes, const std::vector<float>& a,
                                    const std::vector<float>& b, int b_column, int b_k) {
  std::vector<float> c;
  for (int row = 0; row < sizes.m; ++row) {
    for (int column = 0; column < sizes.n; ++column) {
      double sum = 0;
      for (int i = 0; i < sizes.k; ++i) {
        sum += double{a[row * sizes.k + i]} * b[column * b_column + i * b_k];
      }
      c.push_back(static_cast<float>(sum));
    }
  }
  return c;
}

// The largest error of a sample with a fault planted, or none; see LargestError().
inline double ErrorOfTiledProduct(Fault fault, Sizes sizes) {
  Random random(sizes.m);
  const auto a = random.Many(sizes.m * sizes.k);
  const auto b = random.Many(sizes.k * sizes.n);
  std::vector<float> c(sizes.m * sizes.n);
  TiledProduct(fault, sizes, a.data(), b.data(), c.data());
  return LargestError(c, ProductOf(sizes, a, b, 1, sizes.n));
}

inline double ErrorOfRowProduct(Fault fault, Sizes sizes) {
  Random random(sizes.n);
  const auto w = RandomBf16(sizes.n * sizes.k, random);
  const auto x = RandomBf16(sizes.k, random);
  std::vector<float> y(sizes.n);
  RowProduct(fault, sizes, w.data(), x.data(), y.data());
  return LargestError(y,
                      ProductOf({sizes.n, 1, sizes.k}, FloatsFromBf16(w), FloatsFromBf16(x), 0, 1));
}

inline double ErrorOfStreamedSum(Fault fault, Sizes sizes) {
  Random random(sizes.m);
  const auto x = random.Many(sizes.m * 128);
  std::vector<float> y(128), want(128);
  for (std::size_t i = 0; i < x.size(); ++i) want[i % 128] += x[i];
  StreamedSum(fault, sizes, x.data(), y.data());
  return LargestError(y, want);
}

inline double ErrorOfWarpReversal(Fault fault, Sizes sizes) {
  std::vector<int> x(sizes.m);
  for (int i = 0; i < sizes.m; ++i) x[i] = i;
  WarpReversal(fault, sizes, x.data());
  for (int i = 0; i < sizes.m; ++i) {
    if (x[i] != (i ^ 31)) return INFINITY;
  }
  return 0;
}

inline double ErrorOfTensorProduct(Fault fault, Sizes sizes, bool padded = true) {
  Random random(sizes.m);
  const auto a = RandomBf16(sizes.m * sizes.k, random);
  const auto b = RandomBf16(sizes.n * sizes.k, random);
  std::vector<float> c(sizes.m * sizes.n);
  TensorProduct(fault, padded, sizes, a.data(), b.data(), c.data());
  return LargestError(c, ProductOf(sizes, FloatsFromBf16(a), FloatsFromBf16(b), sizes.k, 1));
}

}  // namespace fallow::test
