// Compiled once per instruction set: see kernels/cpu/simd.h.
#include <cassert>

#include "kernels/cpu/float_tile.h"
#include "kernels/cpu/quantised_tile.h"
#include "kernels/exact_math.h"
#include "kernels/functions.h"

namespace fallow::FALLOW_ISA {
namespace {

PanelRun PanelsFrom(const Panels& weight, std::int64_t panel) {
  const std::int64_t bytes = PanelBytes(weight.type, weight.cols);
  return {weight.data + panel * bytes, bytes};
}

// A product says how a tile is computed, and how large tiles should be. This one has the exact
// class's order: groups summed within segments, then the segments.
template <WeightType kType>
struct QuantisedProduct {
  static constexpr int kOnePanelRows =
      kType == WeightType::kQ8 ? Tiles::kOnePanelRowsByte : Tiles::kOnePanelRowsNibble;
  static constexpr int kPanels = Tiles::kPanels;
  static constexpr int kRows = Tiles::kRows;

  static QuantisedRows RowsFrom(const Activations& x, std::int64_t row) {
    const std::int64_t group = row * (x.k / kGroup);
    return {.codes = x.codes + row * x.k,
            .scale = x.scale + group,
            .sum = x.sum + group,
            .scaled_sum = x.scaled_sum + group,
            .k = x.k};
  }

  template <bool kPrefetch, int kTilePanels, int kTileRows>
  static FALLOW_INLINE void Multiply(const MatmulArgs& args, std::int64_t panel, std::int64_t row,
                                     FloatTile<kTilePanels, kTileRows>& total) {
    const QuantisedRows x = RowsFrom(args.x, row);
    const PanelRun panels = PanelsFrom(args.weight, panel);
    const std::int64_t groups = x.groups();
    for (std::int64_t begin = 0; begin < groups; begin += exact::kSegmentGroups) {
      const std::int64_t rest = groups - begin;
      const std::int64_t end =
          begin + (rest < exact::kSegmentGroups ? rest : exact::kSegmentGroups);
      FloatTile<kTilePanels, kTileRows> segment;
      Clear(segment);
      AddGroups<kType, PanelScales::kFp16, kPrefetch>(panels, begin, end, x, segment);
      FALLOW_UNROLL for (int p = 0; p < kTilePanels; ++p) {
        FALLOW_UNROLL for (int m = 0; m < kTileRows; ++m) {
          total[p][m] = total[p][m] + segment[p][m];
        }
      }
    }
  }
};

template <WeightType kType>
struct FloatProduct {
  static constexpr int kOnePanelRows = Tiles::kOnePanelRowsFloat;
  static constexpr int kPanels = Tiles::kPanelsFloat;
  static constexpr int kRows = Tiles::kRowsFloat;

  static const float* FirstOf(const Activations& x, const float*) { return x.values; }
  static const std::uint16_t* FirstOf(const Activations& x, const std::uint16_t*) { return x.bf16; }

  template <bool kPrefetch, int kTilePanels, int kTileRows>
  static FALLOW_INLINE void Multiply(const MatmulArgs& args, std::int64_t panel, std::int64_t row,
                                     FloatTile<kTilePanels, kTileRows>& total) {
    using Number = typename Factor<kType>::Type;
    const Number* x = FirstOf(args.x, static_cast<const Number*>(nullptr)) + row * args.x.k;
    const std::int64_t slices = args.x.k / Factor<kType>::kPerSlice;
    AddSlices<kType, kPrefetch>(PanelsFrom(args.weight, panel), slices, x, args.x.k, total);
  }
};

FALLOW_INLINE Floats LoadColumns(const float* p, std::int64_t columns) {
  return columns < kPanelRows ? LoadFirst(p, columns) : Load(p);
}

FALLOW_INLINE void StoreColumns(Floats x, float* p, std::int64_t columns) {
  if (columns < kPanelRows) return StoreFirst(x, p, columns);
  Store(x, p);
}

// y = total (+ bias), then y + that if `add`; not beyond the weight's last row.
template <int kPanels, int kRows>
FALLOW_INLINE void StoreTile(const MatmulArgs& args, std::int64_t panel, std::int64_t row,
                             const FloatTile<kPanels, kRows>& total) {
  FALLOW_UNROLL for (int p = 0; p < kPanels; ++p) {
    const std::int64_t column = (panel + p) * kPanelRows;
    const std::int64_t columns = args.weight.rows - column;
    const Floats bias = args.bias ? LoadColumns(args.bias + column, columns) : Zero();
    FALLOW_UNROLL for (int m = 0; m < kRows; ++m) {
      float* y = args.y + (row + m) * args.stride + column;
      Floats result = args.bias ? total[p][m] + bias : total[p][m];
      if (args.add) result = LoadColumns(y, columns) + result;
      StoreColumns(result, y, columns);
    }
  }
}

template <typename Product, bool kPrefetch, int kPanels, int kRows>
void MultiplyTile(const MatmulArgs& args, std::int64_t panel, std::int64_t row) {
  FloatTile<kPanels, kRows> total;
  Clear(total);
  Product::template Multiply<kPrefetch>(args, panel, row, total);
  StoreTile(args, panel, row, total);
}

// All of `panels` times rows [row, row + kRows).
template <typename Product, bool kPrefetch, int kPanels, int kRows>
void MultiplyPanels(const MatmulArgs& args, Range panels, std::int64_t row) {
  std::int64_t panel = panels.begin;
  for (; panel + kPanels <= panels.end; panel += kPanels) {
    MultiplyTile<Product, kPrefetch, kPanels, kRows>(args, panel, row);
  }
  for (; panel < panels.end; ++panel) MultiplyTile<Product, false, 1, kRows>(args, panel, row);
}

// All of `panels` times rows [row, row + rows), rows <= kRows. One panel at a time is one stream of
// memory, which is the fastest. More rows need two: each activation is then loaded for both, from a
// cache that the weights keep sweeping clean.
template <typename Product, bool kPrefetch, int kRows = Tiles::kSmallRows>
void MultiplyFewRows(const MatmulArgs& args, Range panels, std::int64_t row, std::int64_t rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      return MultiplyFewRows<Product, kPrefetch, kRows - 1>(args, panels, row, rows);
    }
  }
  constexpr int kPanels = kRows > Product::kOnePanelRows ? Tiles::kSmallPanels : 1;
  MultiplyPanels<Product, kPrefetch, kPanels, kRows>(args, panels, row);
}

// Each panel is read from memory once, with the first rows, and is in the cache for the others.
template <typename Product>
void MultiplySomeRows(const MatmulArgs& args, Range panels) {
  for (std::int64_t begin = panels.begin; begin < panels.end; begin += Tiles::kSmallPanels) {
    const std::int64_t rest = panels.end - begin;
    const Range part = {begin, begin + (rest < Tiles::kSmallPanels ? rest : Tiles::kSmallPanels)};
    MultiplyFewRows<Product, true>(args, part, 0, Tiles::kSmallRows);
    for (std::int64_t row = Tiles::kSmallRows; row < args.x.rows; row += Tiles::kSmallRows) {
      const std::int64_t rows = args.x.rows - row;
      MultiplyFewRows<Product, false>(args, part, row,
                                      rows < Tiles::kSmallRows ? rows : Tiles::kSmallRows);
    }
  }
}

template <typename Product>
void MultiplyManyRows(const MatmulArgs& args, Range panels) {
  for (std::int64_t begin = panels.begin; begin < panels.end; begin += Product::kPanels) {
    const std::int64_t rest = panels.end - begin;
    const Range part = {begin, begin + (rest < Product::kPanels ? rest : Product::kPanels)};
    std::int64_t row = 0;
    for (; row + Product::kRows <= args.x.rows; row += Product::kRows) {
      MultiplyPanels<Product, false, Product::kPanels, Product::kRows>(args, part, row);
    }
    if (row < args.x.rows) {
      MultiplyFewRows<Product, false>(args, part, row, args.x.rows - row);
    }
  }
}

template <typename Product>
void Multiply(const MatmulArgs& args, Range panels) {
  constexpr std::int64_t kManyRows = 32;  // from here on arithmetic, not memory, is the limit
  if (args.x.rows == 0) return;
  if (args.x.rows <= Tiles::kSmallRows) {
    return MultiplyFewRows<Product, true>(args, panels, 0, args.x.rows);
  }
  if (args.x.rows < kManyRows) return MultiplySomeRows<Product>(args, panels);
  MultiplyManyRows<Product>(args, panels);
}

}  // namespace

void Matmul(const MatmulArgs& args, Range panels) {
  assert(Multiplies(args.x.arithmetic, args.weight.type));
  switch (args.weight.type) {
    case WeightType::kFp32:
      return Multiply<FloatProduct<WeightType::kFp32>>(args, panels);
    case WeightType::kBf16:
      return Multiply<FloatProduct<WeightType::kBf16>>(args, panels);
    case WeightType::kQ8:
      return Multiply<QuantisedProduct<WeightType::kQ8>>(args, panels);
    case WeightType::kQ4_0:
      return Multiply<QuantisedProduct<WeightType::kQ4_0>>(args, panels);
    case WeightType::kQ4_1:
      return Multiply<QuantisedProduct<WeightType::kQ4_1>>(args, panels);
    case WeightType::kNl4:
      return Multiply<QuantisedProduct<WeightType::kNl4>>(args, panels);
  }
}

// A lookup: nothing to gain from more lanes.
void Embed(const EmbedArgs& args, Range rows) { exact::Embed(args, rows); }

}  // namespace fallow::FALLOW_ISA
