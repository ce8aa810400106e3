// Compiled once per instruction set: see kernels/cpu/simd.h.
#include "kernels/limits/multiply_adds.h"

#include "kernels/cpu/float_tile.h"
#include "kernels/cpu/quantised_tile.h"

namespace fallow::FALLOW_ISA {
namespace {

// Nothing that is in memory is known any more, so what a loop reads it reads each time.
FALLOW_INLINE void ForgetMemory() { asm volatile("" ::: "memory"); }

// Has results computed that nobody reads.
template <int kPanels, int kRows>
FALLOW_INLINE void Use(const FloatTile<kPanels, kRows>& tile) {
  float lanes[16];
  FALLOW_UNROLL for (int p = 0; p < kPanels; ++p) {
    FALLOW_UNROLL for (int m = 0; m < kRows; ++m) {
      Store(tile[p][m], lanes);
      asm volatile("" : : "m"(lanes));
    }
  }
}

constexpr double Count(int panels, int rows, std::int64_t iterations) {
  return static_cast<double>(kBlockK * kPanelRows * panels * rows) *
         static_cast<double>(iterations);
}

// Zeros all: that changes nothing but the results.
template <WeightType kType>
double Quantised(std::int64_t iterations) {
  constexpr int kPanels = Tiles::kPanels;
  constexpr int kRows = Tiles::kRows;
  alignas(64) std::uint8_t weights[kPanels][BlockBytes(kType)] = {};
  alignas(64) std::int8_t codes[kRows][kBlockK] = {};
  float scale[kRows][2] = {};
  std::int32_t sum[kRows][2] = {};
  float scaled_sum[kRows][2] = {};
  const QuantisedRows x = {codes[0], scale[0], sum[0], scaled_sum[0], kBlockK};
  FloatTile<kPanels, kRows> total;
  Clear(total);
  for (std::int64_t i = 0; i < iterations; ++i) {
    AddGroups<kType, PanelScales::kFp16, false>({weights[0], BlockBytes(kType)}, 0, 2, x, total);
    ForgetMemory();
  }
  Use(total);
  return Count(kPanels, kRows, iterations);
}

template <WeightType kType>
double Float(std::int64_t iterations) {
  using Number = typename Factor<kType>::Type;
  constexpr int kPanels = Tiles::kPanelsFloat;
  constexpr int kRows = Tiles::kRowsFloat;
  constexpr int kSlices = kBlockK / Factor<kType>::kPerSlice;
  alignas(64) std::uint8_t weights[kPanels][kSlices * kSliceBytes] = {};
  alignas(64) Number x[kRows][kBlockK] = {};
  FloatTile<kPanels, kRows> total;
  Clear(total);
  for (std::int64_t i = 0; i < iterations; ++i) {
    AddSlices<kType, false>(PanelRun{weights[0], kSlices * kSliceBytes}, kSlices, x[0], kBlockK,
                            total);
    ForgetMemory();
  }
  Use(total);
  return Count(kPanels, kRows, iterations);
}

}  // namespace

double MultiplyAdds(WeightType type, std::int64_t iterations) {
  switch (type) {
    case WeightType::kFp32:
      return Float<WeightType::kFp32>(iterations);
    case WeightType::kBf16:
      return Float<WeightType::kBf16>(iterations);
    case WeightType::kQ8:
      return Quantised<WeightType::kQ8>(iterations);
    case WeightType::kQ4_0:
      return Quantised<WeightType::kQ4_0>(iterations);
    case WeightType::kQ4_1:
      return Quantised<WeightType::kQ4_1>(iterations);
    case WeightType::kNl4:
      return Quantised<WeightType::kNl4>(iterations);
  }
  return 0;
}

}  // namespace fallow::FALLOW_ISA
