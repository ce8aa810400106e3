// Products of fp32 and bf16 panels with rows of the same type: a few panels times a few rows, in
// registers, in any order of summation.
#pragma once

#include <cstdint>

#include "kernels/cpu/tile.h"

namespace fallow::FALLOW_ISA {
namespace {

template <WeightType kType>
struct Factor;
template <>
struct Factor<WeightType::kFp32> {
  using Type = float;
  static constexpr int kPerSlice = 1;
};
template <>
struct Factor<WeightType::kBf16> {
  using Type = std::uint16_t;
  static constexpr int kPerSlice = 2;
};

FALLOW_INLINE Floats AddProducts(Floats sums, Slice weights, const float* x) {
  return MulAdd(AsFloats(weights), Broadcast(*x), sums);
}
FALLOW_INLINE Floats AddProducts(Floats sums, Slice weights, const std::uint16_t* x) {
  return DotBf16(sums, weights, x);
}

// Adds `slices` slices (a multiple of 4) of kPanels panels times kRows rows, `stride` apart, to
// `sums`. One or two rows are summed in four chains each: one would wait for its own additions.
template <WeightType kType, bool kPrefetch, int kPanels, int kRows>
FALLOW_INLINE void AddSlices(PanelRun panels, std::int64_t slices,
                             const typename Factor<kType>::Type* x, std::int64_t stride,
                             FloatTile<kPanels, kRows>& sums) {
  constexpr int kChains = kRows <= 2 ? 4 : 1;
  constexpr int kPerSlice = Factor<kType>::kPerSlice;
  FloatTile<kPanels, kRows> chains[kChains];
  FALLOW_UNROLL for (int c = 0; c < kChains; ++c) Clear(chains[c]);
  for (std::int64_t first = 0; first < slices; first += kChains) {
    FALLOW_UNROLL for (int c = 0; c < kChains; ++c) {
      Slice weights[kPanels];
      LoadSlices<kPrefetch>(panels, first + c, weights);
      FALLOW_UNROLL for (int m = 0; m < kRows; ++m) {
        FALLOW_UNROLL for (int p = 0; p < kPanels; ++p) {
          chains[c][p][m] =
              AddProducts(chains[c][p][m], weights[p], x + m * stride + (first + c) * kPerSlice);
        }
      }
    }
  }
  FALLOW_UNROLL for (int c = 0; c < kChains; ++c) {
    FALLOW_UNROLL for (int p = 0; p < kPanels; ++p) {
      FALLOW_UNROLL for (int m = 0; m < kRows; ++m) sums[p][m] = sums[p][m] + chains[c][p][m];
    }
  }
}

}  // namespace
}  // namespace fallow::FALLOW_ISA
