#include "model/dequantize.h"

#include <cstring>

#include "kernels/float_bits.h"
#include "kernels/numeric.h"
#include "model/checkpoint.h"
#include "model/stored_type.h"

namespace fallow {
namespace {

template <typename T>
T At(const std::uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

// Elements that are numbers of type T, each turned into a float by `convert`.
template <typename T, typename Convert>
void DequantizeNumbers(const std::uint8_t* bytes, std::int64_t n, float* out, Convert convert) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = convert(At<T>(bytes + i * sizeof(T)));
}

// Bit i of the 32 bits at `bytes` as 16 or 0: the fifth bit of element i.
int FifthBit(const std::uint8_t* bytes, int i) {
  return static_cast<int>((At<std::uint32_t>(bytes) >> i) & 1) << 4;
}

template <DequantizeBlock kBlock>
void DequantizeBlocks(StoredType type, const std::uint8_t* bytes, std::int64_t n, float* out) {
  const int elements = BlockElements(type);
  const int size = BlockBytes(type);
  for (std::int64_t i = 0; i < n / elements; ++i) kBlock(bytes + i * size, out + i * elements);
}

}  // namespace

float Fp16At(const std::uint8_t* bytes) { return FloatFromFp16(At<std::uint16_t>(bytes)); }

// Of 4 and 5 bits: element i of a block lies in the low nibble of byte i, element i + 16 in its
// high one.

void DequantizeQ8_0(const std::uint8_t* block, float* out) {
  const float scale = Fp16At(block);
  for (int i = 0; i < kGroup; ++i) out[i] = scale * static_cast<std::int8_t>(block[2 + i]);
}

void DequantizeQ4_0(const std::uint8_t* block, float* out) {
  const float scale = Fp16At(block);
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * ((block[2 + i] & 15) - 8);
    out[i + 16] = scale * ((block[2 + i] >> 4) - 8);
  }
}

void DequantizeQ4_1(const std::uint8_t* block, float* out) {
  const float scale = Fp16At(block);
  const float minimum = Fp16At(block + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * (block[4 + i] & 15) + minimum;
    out[i + 16] = scale * (block[4 + i] >> 4) + minimum;
  }
}

void DequantizeQ5_0(const std::uint8_t* block, float* out) {
  const float scale = Fp16At(block);
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * (((block[6 + i] & 15) | FifthBit(block + 2, i)) - 16);
    out[i + 16] = scale * (((block[6 + i] >> 4) | FifthBit(block + 2, i + 16)) - 16);
  }
}

void DequantizeQ5_1(const std::uint8_t* block, float* out) {
  const float scale = Fp16At(block);
  const float minimum = Fp16At(block + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * ((block[8 + i] & 15) | FifthBit(block + 4, i)) + minimum;
    out[i + 16] = scale * ((block[8 + i] >> 4) | FifthBit(block + 4, i + 16)) + minimum;
  }
}

void DequantizeIQ4_NL(const std::uint8_t* block, float* out) {
  const float scale = Fp16At(block);
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * kNl4Codebook[block[2 + i] & 15];
    out[i + 16] = scale * kNl4Codebook[block[2 + i] >> 4];
  }
}

void Dequantize(StoredType type, std::span<const std::uint8_t> bytes, std::int64_t elements,
                float* out) {
  const std::uint8_t* data = bytes.data();
  switch (type) {
    case StoredType::kF32:
      return DequantizeNumbers<float>(data, elements, out, [](float x) { return x; });
    case StoredType::kF16:
      return DequantizeNumbers<std::uint16_t>(
          data, elements, out, [](std::uint16_t bits) { return FloatFromFp16(bits); });
    case StoredType::kBF16:
      return DequantizeNumbers<std::uint16_t>(
          data, elements, out, [](std::uint16_t bits) { return FloatFromBf16(bits); });
    case StoredType::kI64:
      return DequantizeNumbers<std::int64_t>(data, elements, out,
                                             [](std::int64_t x) { return static_cast<float>(x); });
    case StoredType::kI32:
      return DequantizeNumbers<std::int32_t>(data, elements, out,
                                             [](std::int32_t x) { return static_cast<float>(x); });
    case StoredType::kU8:
      return DequantizeNumbers<std::uint8_t>(data, elements, out,
                                             [](std::uint8_t x) { return static_cast<float>(x); });
    case StoredType::kQ8_0:
      return DequantizeBlocks<DequantizeQ8_0>(type, data, elements, out);
    case StoredType::kQ4_0:
      return DequantizeBlocks<DequantizeQ4_0>(type, data, elements, out);
    case StoredType::kQ4_1:
      return DequantizeBlocks<DequantizeQ4_1>(type, data, elements, out);
    case StoredType::kQ5_0:
      return DequantizeBlocks<DequantizeQ5_0>(type, data, elements, out);
    case StoredType::kQ5_1:
      return DequantizeBlocks<DequantizeQ5_1>(type, data, elements, out);
    case StoredType::kQ2_K:
      return DequantizeBlocks<DequantizeQ2_K>(type, data, elements, out);
    case StoredType::kQ3_K:
      return DequantizeBlocks<DequantizeQ3_K>(type, data, elements, out);
    case StoredType::kQ4_K:
      return DequantizeBlocks<DequantizeQ4_K>(type, data, elements, out);
    case StoredType::kQ5_K:
      return DequantizeBlocks<DequantizeQ5_K>(type, data, elements, out);
    case StoredType::kQ6_K:
      return DequantizeBlocks<DequantizeQ6_K>(type, data, elements, out);
    case StoredType::kIQ4_NL:
      return DequantizeBlocks<DequantizeIQ4_NL>(type, data, elements, out);
  }
}

}  // namespace fallow
