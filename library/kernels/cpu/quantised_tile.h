// Products of quantised panels with quantised rows: a few panels times a few rows, in registers.
//
// The 16 rows of a panel are 16 lanes, so no sum ever crosses lanes, and each lane does exactly
// what the exact class defines: integer dots within a group, then one Fma a group, in order of
// groups. Linear layers use it, and attention for its scores: a page of q8 keys is a q8 panel.
#pragma once

#include <cstdint>

#include "kernels/cpu/tile.h"
#include "kernels/matmul/panel_layout.h"

namespace fallow::FALLOW_ISA {
namespace {

// kNl4Codebook with 128 added: then its zero point is that of q8.
alignas(16) constexpr std::uint8_t kUnsignedCodebook[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                                            129, 141, 153, 166, 181, 197, 217, 241};

// Rows of activations, `k` apart in codes and k / kGroup in the rest.
struct QuantisedRows {
  const std::int8_t* codes = nullptr;
  const float* scale = nullptr;
  const std::int32_t* sum = nullptr;  // of a group's codes
  const float* scaled_sum = nullptr;  // read for kQ4_1 alone
  std::int64_t k = 0;

  std::int64_t groups() const { return k / kGroup; }
};

enum class PanelScales { kFp16, kBf16 };  // of weights; of keys

// This and the next two: dots = start + stored codes * codes of activations, over one group.
// In this and the next, DotBytes takes kByteBias from the stored codes.
//   codes   of the first panel's group
//   x       codes of the first row's group, rows `k` apart
//   start   -(what is left of the zero point then) * sum of the activations' codes, per row
template <bool kPrefetch, int kPanels, int kRows>
FALLOW_INLINE void DotByteGroup(PanelRun codes, const std::int8_t* x, std::int64_t k,
                                const std::int32_t (&start)[kRows], IntTile<kPanels, kRows>& dots) {
  FALLOW_UNROLL for (int m = 0; m < kRows; ++m) {
    FALLOW_UNROLL for (int p = 0; p < kPanels; ++p) dots[p][m] = BroadcastInt(start[m]);
  }
  FALLOW_UNROLL for (int i = 0; i < 8; ++i) {
    Slice slices[kPanels];
    LoadSlices<kPrefetch>(codes, i, slices);
    FALLOW_UNROLL for (int m = 0; m < kRows; ++m) {
      FALLOW_UNROLL for (int p = 0; p < kPanels; ++p) {
        dots[p][m] = DotBytes(dots[p][m], slices[p], x + m * k + 4 * i);
      }
    }
  }
}

template <bool kPrefetch, int kPanels, int kRows>
FALLOW_INLINE void DotCodebookGroup(PanelRun codes, const std::int8_t* x, std::int64_t k,
                                    const std::int32_t (&start)[kRows],
                                    IntTile<kPanels, kRows>& dots) {
  FALLOW_UNROLL for (int m = 0; m < kRows; ++m) {
    FALLOW_UNROLL for (int p = 0; p < kPanels; ++p) dots[p][m] = BroadcastInt(start[m]);
  }
  FALLOW_UNROLL for (int i = 0; i < 4; ++i) {
    Slice slices[kPanels];
    LoadSlices<kPrefetch>(codes, i, slices);
    FALLOW_UNROLL for (int p = 0; p < kPanels; ++p) {
      const Slice low = LookUp(kUnsignedCodebook, LowNibbles(slices[p]));
      const Slice high = LookUp(kUnsignedCodebook, HighNibbles(slices[p]));
      FALLOW_UNROLL for (int m = 0; m < kRows; ++m) {
        dots[p][m] = DotBytes(dots[p][m], low, x + m * k + 8 * i);
        dots[p][m] = DotBytes(dots[p][m], high, x + m * k + 8 * i + 4);
      }
    }
  }
}

template <bool kPrefetch, int kPanels, int kRows>
FALLOW_INLINE void DotNibbleGroup(PanelRun codes, const std::int8_t* x, std::int64_t k,
                                  const std::int32_t (&start)[kRows],
                                  IntTile<kPanels, kRows>& dots) {
  NibbleSums sums[kPanels][kRows];
  FALLOW_UNROLL for (int m = 0; m < kRows; ++m) {
    FALLOW_UNROLL for (int p = 0; p < kPanels; ++p) sums[p][m] = StartNibbles(start[m]);
  }
  FALLOW_UNROLL for (int i = 0; i < 4; ++i) {
    Slice slices[kPanels];
    LoadSlices<kPrefetch>(codes, i, slices);
    FALLOW_UNROLL for (int p = 0; p < kPanels; ++p) {
      const Slice low = LowNibbles(slices[p]);
      const Slice high = HighNibbles(slices[p]);
      FALLOW_UNROLL for (int m = 0; m < kRows; ++m) {
        sums[p][m] = DotNibbles(sums[p][m], low, x + m * k + 8 * i);
        sums[p][m] = DotNibbles(sums[p][m], high, x + m * k + 8 * i + 4);
      }
    }
  }
  FALLOW_UNROLL for (int m = 0; m < kRows; ++m) {
    FALLOW_UNROLL for (int p = 0; p < kPanels; ++p) {
      dots[p][m] = FinishNibbles(sums[p][m], start[m]);
    }
  }
}

template <WeightType kType, bool kPrefetch, int kPanels, int kRows>
FALLOW_INLINE void DotGroup(PanelRun codes, const QuantisedRows& x, std::int64_t group,
                            IntTile<kPanels, kRows>& dots) {
  constexpr bool kBytes = kType == WeightType::kQ8 || kType == WeightType::kNl4;
  constexpr std::int32_t kZeroPoint = ZeroPoint(kType) - (kBytes ? kByteBias : 0);
  std::int32_t start[kRows];
  FALLOW_UNROLL for (int m = 0; m < kRows; ++m) {
    start[m] = -kZeroPoint * x.sum[m * x.groups() + group];
  }
  const std::int8_t* x_codes = x.codes + group * kGroup;
  if constexpr (kType == WeightType::kQ8) {
    DotByteGroup<kPrefetch>(codes, x_codes, x.k, start, dots);
  } else if constexpr (kType == WeightType::kNl4) {
    DotCodebookGroup<kPrefetch>(codes, x_codes, x.k, start, dots);
  } else {
    DotNibbleGroup<kPrefetch>(codes, x_codes, x.k, start, dots);
  }
}

template <PanelScales kScales>
FALLOW_INLINE Floats LoadScales(const std::uint8_t* p) {
  return kScales == PanelScales::kFp16 ? LoadFp16(p) : LoadBf16(p);
}

// sums += scale of the weights * scale of the activations * dots, one Fma a group; then the minima.
//   scales   of the first panel's group
template <WeightType kType, PanelScales kScales, int kPanels, int kRows>
FALLOW_INLINE void AddScaled(const IntTile<kPanels, kRows>& dots, PanelRun scales,
                             const QuantisedRows& x, std::int64_t group,
                             FloatTile<kPanels, kRows>& sums) {
  FALLOW_UNROLL for (int p = 0; p < kPanels; ++p) {
    const std::uint8_t* at = scales.data + p * scales.bytes;
    const Floats scale = LoadScales<kScales>(at);
    FALLOW_UNROLL for (int m = 0; m < kRows; ++m) {
      const Floats both = scale * Broadcast(x.scale[m * x.groups() + group]);
      sums[p][m] = Fma(ToFloat(dots[p][m]), both, sums[p][m]);
    }
    if constexpr (kType == WeightType::kQ4_1) {
      const Floats minimum = LoadFp16(at + kSliceBytes);
      FALLOW_UNROLL for (int m = 0; m < kRows; ++m) {
        sums[p][m] = Fma(minimum, Broadcast(x.scaled_sum[m * x.groups() + group]), sums[p][m]);
      }
    }
  }
}

// Adds groups [begin, end), both even, of kPanels panels times kRows rows to `sums`.
template <WeightType kType, PanelScales kScales, bool kPrefetch, int kPanels, int kRows>
FALLOW_INLINE void AddGroups(PanelRun panels, std::int64_t begin, std::int64_t end,
                             const QuantisedRows& x, FloatTile<kPanels, kRows>& sums) {
  for (std::int64_t block = begin / 2; block < end / 2; ++block) {
    const std::uint8_t* header = panels.data + block * BlockBytes(kType);
    for (int half = 0; half < 2; ++half) {
      const std::uint8_t* codes = header + HeaderBytes(kType) + half * GroupBytes(kType);
      IntTile<kPanels, kRows> dots;
      DotGroup<kType, kPrefetch>({codes, panels.bytes}, x, 2 * block + half, dots);
      AddScaled<kType, kScales>(dots, {header + half * 32, panels.bytes}, x, 2 * block + half,
                                sums);
    }
    if constexpr (kPrefetch) {  // of a later panel, even where codes are asked for sooner: measured
      FALLOW_UNROLL for (int p = 0; p < kPanels; ++p)
          Prefetch(header + (kPanels + p) * panels.bytes);
    }
  }
}

}  // namespace
}  // namespace fallow::FALLOW_ISA
