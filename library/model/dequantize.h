// The blocks of GGUF's quantised types, as floats.
#pragma once

#include <cstdint>

namespace fallow {

// Each writes the elements of one block: 32, or 256 of a K-quant. Their order of operations is that
// of ggml and of gguf-py, whose results are the same bit by bit.
using DequantizeBlock = void(const std::uint8_t* block, float* out);
DequantizeBlock DequantizeQ8_0, DequantizeQ4_0, DequantizeQ4_1, DequantizeQ5_0, DequantizeQ5_1,
    DequantizeIQ4_NL;
DequantizeBlock DequantizeQ2_K, DequantizeQ3_K, DequantizeQ4_K, DequantizeQ5_K, DequantizeQ6_K;

inline constexpr int kKBlock = 256;  // elements of a K-quant's block

// The 6-bit scales and minima of the 8 groups of 32 in a block of Q4_K or Q5_K.
struct KScales {
  std::uint8_t scale[8];
  std::uint8_t minimum[8];
};
KScales UnpackKScales(const std::uint8_t packed[12]);

// The fp16 number at `bytes`, which need not be aligned.
float Fp16At(const std::uint8_t* bytes);

}  // namespace fallow
