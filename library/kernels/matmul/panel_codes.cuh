// Quantised panels as device code reads them: panel_layout.h.
#pragma once

#include "kernels/cuda/portable.cuh"
#include "kernels/matmul/panel_layout.h"

namespace fallow::cuda {

// Where a panel's numbers lie, as constants that device code can use.
template <WeightType kType>
struct PanelPlaces {
  static constexpr int kBlock = BlockBytes(kType);
  static constexpr int kHeader = HeaderBytes(kType);
  static constexpr int kCodes = GroupBytes(kType);
  static constexpr int kZero = ZeroPoint(kType);
};

// The codes of eight consecutive k, as signed bytes; kZero of kQ4_0 is not taken off.
struct EightCodes {
  int first;
  int second;
};

constexpr unsigned CodebookWord(int i) {
  unsigned word = 0;
  for (int j = 0; j < 4; ++j) {
    word |= static_cast<unsigned>(static_cast<std::uint8_t>(kNl4Codebook[4 * i + j])) << (8 * j);
  }
  return word;
}
template <int kIndex>
inline constexpr unsigned kCodebookWord = CodebookWord(kIndex);

// The codebook's bytes for four nibbles: the low 16 bits of `nibbles`, in order.
__device__ __forceinline__ unsigned LookUpFour(unsigned nibbles) {
  const unsigned below_eight = __byte_perm(kCodebookWord<0>, kCodebookWord<1>, nibbles & 0x7777u);
  const unsigned from_eight = __byte_perm(kCodebookWord<2>, kCodebookWord<3>, nibbles & 0x7777u);
  const unsigned choice = 0x3210u | (nibbles & 0x8888u) >> 1;
  return __byte_perm(below_eight, from_eight, choice);
}

// Of a word of four-bit codes.
template <WeightType kType>
__device__ __forceinline__ EightCodes EightOf(unsigned nibbles) {
  if constexpr (kType == WeightType::kNl4) {
    const unsigned even = LookUpFour(nibbles);  // low and high nibbles of bytes 0 and 1
    const unsigned odd = LookUpFour(nibbles >> 16);
    return {static_cast<int>(__byte_perm(even, odd, 0x6420)),
            static_cast<int>(__byte_perm(even, odd, 0x7531))};
  }
  return {static_cast<int>(nibbles & 0x0f0f0f0fu), static_cast<int>(nibbles >> 4 & 0x0f0f0f0fu)};
}

// `codes` is the lane's word of the group's first slice; j the number of the eight, 0 to 3.
template <WeightType kType>
__device__ __forceinline__ EightCodes LoadEight(const std::uint8_t* codes, int j) {
  if constexpr (kType == WeightType::kQ8) {
    constexpr unsigned kToSigned = 0x80808080u;
    const unsigned first = Load4(codes + 2 * j * kSliceBytes) ^ kToSigned;
    const unsigned second = Load4(codes + (2 * j + 1) * kSliceBytes) ^ kToSigned;
    return {static_cast<int>(first), static_cast<int>(second)};
  }
  return EightOf<kType>(Load4(codes + j * kSliceBytes));
}

// Four consecutive k, from 4 j on, j below 8; otherwise as LoadEight.
template <WeightType kType>
__device__ __forceinline__ unsigned LoadFour(const std::uint8_t* codes, int j) {
  if constexpr (kType == WeightType::kQ8) return Load4(codes + j * kSliceBytes) ^ 0x80808080u;
  const unsigned nibbles = Load4(codes + j / 2 * kSliceBytes);
  if constexpr (kType == WeightType::kNl4) {
    const unsigned even = LookUpFour(nibbles);
    const unsigned odd = LookUpFour(nibbles >> 16);
    return __byte_perm(even, odd, j % 2 == 0 ? 0x6420u : 0x7531u);
  }
  return nibbles >> (j % 2 * 4) & 0x0f0f0f0fu;
}

}  // namespace fallow::cuda
