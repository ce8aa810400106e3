// What tiles are made of: a few panels times a few rows, whose sums stay in registers.
#pragma once

#include <cstdint>

#include "kernels/cpu/simd.h"
#include "kernels/matmul/panel_layout.h"

namespace fallow::FALLOW_ISA {
namespace {

template <int kPanels, int kRows>
using FloatTile = Floats[kPanels][kRows];
template <int kPanels, int kRows>
using IntTile = Ints[kPanels][kRows];

template <int kPanels, int kRows>
FALLOW_INLINE void Clear(FloatTile<kPanels, kRows>& tile) {
  FALLOW_UNROLL for (int p = 0; p < kPanels; ++p) {
    FALLOW_UNROLL for (int m = 0; m < kRows; ++m) tile[p][m] = Zero();
  }
}

// Panels that lie `bytes` apart.
struct PanelRun {
  const std::uint8_t* data = nullptr;
  std::int64_t bytes = 0;
};

// How far ahead of a single panel's slice to ask for one: more than the processor foresees by
// itself.
constexpr std::int64_t kPrefetchAhead = 8192;

// Slice `index` of each panel. With kPrefetch each load asks for one that the same thread will want
// later: one by one, because bursts of prefetches are dropped. Of several panels that is the slice
// kPanels panels on. A single panel is part of one stream. No hint says that it is used once:
// Intel's outer cache, which fills with what the inner ones drop, would then never hold weights
// that fit.
template <bool kPrefetch, int kPanels>
FALLOW_INLINE void LoadSlices(PanelRun panels, std::int64_t index, Slice (&slices)[kPanels]) {
  FALLOW_UNROLL for (int p = 0; p < kPanels; ++p) {
    const std::uint8_t* at = panels.data + p * panels.bytes + index * kSliceBytes;
    slices[p] = LoadSlice(at);
    if constexpr (kPrefetch && kPanels == 1) PrefetchNear(at + kPrefetchAhead);
    if constexpr (kPrefetch && kPanels > 1) Prefetch(at + kPanels * panels.bytes);
  }
}

}  // namespace
}  // namespace fallow::FALLOW_ISA
