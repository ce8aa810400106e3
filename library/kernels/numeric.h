// The vocabulary of the kernels: in what arithmetic a model runs, how weights and keys are kept.
#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/float_bits.h"

namespace fallow {

// How products, norms and attention are computed. Part of a session's numeric class.
enum class Arithmetic {
  kFp32,   // floats throughout, in any order of summation
  kBf16,   // bf16 factors, fp32 sums in any order
  kExact,  // int8 activations and fixed orders: the same bits on every machine ("exact-1")
};

// How a weight matrix is kept. Quantised kinds have groups of 32 along a row, fp16 scale a group.
enum class WeightType : std::uint8_t {
  kFp32,
  kBf16,
  kQ8,    // value = scale * (code - 128)
  kQ4_0,  // value = scale * (code - 8)
  kQ4_1,  // value = scale * code + minimum
  kNl4,   // value = scale * kNl4Codebook[code]
};

inline constexpr int kNumWeightTypes = 6;

inline constexpr int kGroup = 32;      // numbers that share a scale, along K
inline constexpr int kPanelRows = 16;  // output rows of a packed panel
inline constexpr int kPadK = 64;       // packed rows and activations are padded to this, with zeros

// The 4-bit codebook of GGUF's IQ4_NL.
inline constexpr std::int8_t kNl4Codebook[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                 1,    13,   25,  38,  53,  69,  89,  113};

constexpr bool IsQuantised(WeightType type) { return type >= WeightType::kQ8; }
std::string_view Name(WeightType type);        // "fp32", "bf16", "q8", "q4_0", "q4_1", "nl4"
std::string_view Name(Arithmetic arithmetic);  // "fp32", "bf16", "exact-1"

static constexpr FALLOW_INLINE std::int64_t PaddedK(std::int64_t k) {
  return (k + kPadK - 1) / kPadK * kPadK;
}

}  // namespace fallow
