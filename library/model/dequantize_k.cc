// The K-quants: blocks of 256 with small integer scales for groups of 16 or 32 within.

#include "model/dequantize.h"

namespace fallow {
namespace {

// The 6-bit scales of Q3_K's 16 groups, from -32 to 31. Low 4 bits of scales 0-7 and 8-15 lie in
// the low and high nibbles of bytes 0-7; the high 2 bits of scale i in byte 8 + i % 4.
void UnpackQ3Scales(const std::uint8_t packed[12], int scales[16]) {
  for (int i = 0; i < 16; ++i) {
    const int low = (packed[i % 8] >> (i / 8 * 4)) & 15;
    const int high = (packed[8 + i % 4] >> (i / 4 * 2)) & 3;
    scales[i] = (low | high << 4) - 32;
  }
}

}  // namespace

KScales UnpackKScales(const std::uint8_t packed[12]) {
  KScales unpacked;
  for (int i = 0; i < 4; ++i) {
    unpacked.scale[i] = packed[i] & 63;
    unpacked.minimum[i] = packed[4 + i] & 63;
    unpacked.scale[4 + i] = (packed[8 + i] & 15) | ((packed[i] >> 2) & 48);
    unpacked.minimum[4 + i] = (packed[8 + i] >> 4) | ((packed[4 + i] >> 2) & 48);
  }
  return unpacked;
}

// Layout: scales and minima [16] of 4 bits, codes [64] of 2 bits, fp16 scale, fp16 minimum.
void DequantizeQ2_K(const std::uint8_t* block, float* out) {
  const std::uint8_t* codes = block + 16;
  const float scale = Fp16At(block + 80);
  const float minimum = Fp16At(block + 82);
  for (int i = 0; i < kKBlock; ++i) {
    const std::uint8_t group = block[i / 16];
    const int code = (codes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3;
    out[i] = scale * (group & 15) * code - minimum * (group >> 4);
  }
}

// Layout: third bits [32], codes [64] of 2 bits, scales [12], fp16 scale. A third bit that is not
// set means -4.
void DequantizeQ3_K(const std::uint8_t* block, float* out) {
  const std::uint8_t* codes = block + 32;
  const float scale = Fp16At(block + 108);
  int scales[16];
  UnpackQ3Scales(block + 96, scales);
  for (int i = 0; i < kKBlock; ++i) {
    const int low = (codes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3;
    const int third = (block[i % 32] >> (i / 32)) & 1;
    out[i] = scale * scales[i / 16] * (low - (third ? 0 : 4));
  }
}

// Layout: fp16 scale, fp16 minimum, scales [12], codes [128] of 4 bits: per 64 elements 32 bytes,
// the first half of the elements in the low nibbles.
void DequantizeQ4_K(const std::uint8_t* block, float* out) {
  const float scale = Fp16At(block);
  const float minimum = Fp16At(block + 2);
  const KScales groups = UnpackKScales(block + 4);
  const std::uint8_t* codes = block + 16;
  for (int group = 0; group < 8; ++group) {
    const float group_scale = scale * groups.scale[group];
    const float group_minimum = minimum * groups.minimum[group];
    for (int i = 0; i < 32; ++i) {
      const int code = (codes[group / 2 * 32 + i] >> (group % 2 * 4)) & 15;
      out[group * 32 + i] = group_scale * code - group_minimum;
    }
  }
}

// Q4_K with fifth bits [32] before the codes: bit `group` of byte i.
void DequantizeQ5_K(const std::uint8_t* block, float* out) {
  const float scale = Fp16At(block);
  const float minimum = Fp16At(block + 2);
  const KScales groups = UnpackKScales(block + 4);
  const std::uint8_t* fifth = block + 16;
  const std::uint8_t* codes = block + 48;
  for (int group = 0; group < 8; ++group) {
    const float group_scale = scale * groups.scale[group];
    const float group_minimum = minimum * groups.minimum[group];
    for (int i = 0; i < 32; ++i) {
      const int low = (codes[group / 2 * 32 + i] >> (group % 2 * 4)) & 15;
      const int high = (fifth[i] >> group) & 1;
      out[group * 32 + i] = group_scale * (low | high << 4) - group_minimum;
    }
  }
}

// Layout: low nibbles [128], high 2 bits [64], int8 scales [16], fp16 scale. Per 128 elements 64
// bytes of nibbles (the first 64 elements in the low ones) and 32 of high bits.
void DequantizeQ6_K(const std::uint8_t* block, float* out) {
  const std::uint8_t* high_bits = block + 128;
  const std::uint8_t* scales = block + 192;
  const float scale = Fp16At(block + 208);
  for (int i = 0; i < kKBlock; ++i) {
    const int half = i / 128;
    const int within = i % 128;
    const int low = (block[half * 64 + within % 64] >> (within / 64 * 4)) & 15;
    const int high = (high_bits[half * 32 + within % 32] >> (within / 32 * 2)) & 3;
    const float group_scale = scale * static_cast<std::int8_t>(scales[i / 16]);
    out[i] = group_scale * ((low | high << 4) - 32);
  }
}

}  // namespace fallow
