// Random weight matrices, and packed ones that own their memory.
#pragma once

#include <cstdint>
#include <memory>
#include <new>

#include "kernels/float_bits.h"
#include "kernels/matmul/panel.h"
#include "tests/kernels/kernel_test.h"

namespace fallow::test {

inline constexpr WeightType kWeightTypes[] = {WeightType::kFp32, WeightType::kBf16,
                                              WeightType::kQ8,   WeightType::kQ4_0,
                                              WeightType::kQ4_1, WeightType::kNl4};

inline constexpr WeightType kQuantisedTypes[] = {WeightType::kQ8, WeightType::kQ4_0,
                                                 WeightType::kQ4_1, WeightType::kNl4};

// Values of about `size`; every code occurs, scales of either sign and some that are zero.
inline WeightRows RandomWeights(WeightType type, std::int64_t rows, std::int64_t cols,
                                Random& random, float size = 0.05f) {
  WeightRows weight{.type = type, .rows = rows, .cols = cols};
  const auto count = static_cast<std::size_t>(rows * cols);
  if (type == WeightType::kFp32) {
    weight.values = random.Many(rows * cols, size);
    return weight;
  }
  if (type == WeightType::kBf16) {
    for (std::size_t i = 0; i < count; ++i) {
      weight.bf16.push_back(Bf16FromFloat(random.Next() * size));
    }
    return weight;
  }
  const bool bytes = type == WeightType::kQ8;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t bits = random.Bits() >> 8;
    weight.codes.push_back(static_cast<std::uint8_t>(bytes ? bits & 255 : bits & 15));
  }
  const float unit = bytes || type == WeightType::kNl4 ? size / 128 : size / 8;
  for (std::size_t i = 0; i < count / kGroup; ++i) {
    const float scale = i % 17 == 3 ? 0.0f : unit * (1 + 0.3f * random.Next());
    weight.scale.push_back(Fp16FromFloat(i % 5 == 1 ? -scale : scale));
    if (type == WeightType::kQ4_1) weight.minimum.push_back(Fp16FromFloat(-7.5f * scale));
  }
  return weight;
}

class PackedWeight {
 public:
  explicit PackedWeight(const WeightRows& rows)
      : memory_(new (std::align_val_t{64})
                    std::uint8_t[PackedBytes(rows.type, rows.rows, rows.cols) + 1]),
        panels_{.type = rows.type, .rows = rows.rows, .cols = rows.cols, .data = memory_.get()} {
    PackPanels(rows, {0, panels_.count()}, memory_.get());
  }

  const Panels& panels() const { return panels_; }

 private:
  struct Delete {
    void operator()(std::uint8_t* p) const { operator delete[](p, std::align_val_t{64}); }
  };
  std::unique_ptr<std::uint8_t[], Delete> memory_;
  Panels panels_;
};

}  // namespace fallow::test
