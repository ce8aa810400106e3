// Values of pages as kernel.cuh sums them: a thread has four dims of one head, positions come in
// order. Those of several positions are on their way at once: memory is busy only while enough is.
#pragma once

#include "kernels/attention/pages.cuh"

namespace fallow::cuda {

// Four dims of a head.
struct FourDims {
  float at[4] = {};

  // Adds four signed bytes, of which each becomes the low bits of a float: cheaper than a
  // conversion.
  __device__ __forceinline__ void AddCodes(float weight, std::uint32_t codes) {
    constexpr unsigned kBits = 0x4b000000u;       // of 2^23
    constexpr float kZero = 8388608.0f + 128.0f;  // 2^23, and what makes a byte unsigned
    const unsigned bytes = codes ^ 0x80808080u;
    const unsigned bits[4] = {
        __byte_perm(bytes, kBits, 0x7650u), __byte_perm(bytes, kBits, 0x7651u),
        __byte_perm(bytes, kBits, 0x7652u), __byte_perm(bytes, kBits, 0x7653u)};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      at[i] = __fmaf_rn(weight, __fsub_rn(__uint_as_float(bits[i]), kZero), at[i]);
    }
  }
};

// The values of a head's pages, for dims from `dim` on.
struct HeadValues {
  const HeadPages& pages;
  const std::int32_t* ids;
  int kv_head;
  int dim;

  __device__ __forceinline__ const std::uint8_t* PageOf(std::int64_t t) const {
    return pages.At(ids[t / kPagePositions], kv_head);
  }
};

// Four dims of kCount consecutive positions, of which the first is a multiple of kCount.
template <KvFormat kFormat>
struct ValuesTogether {
  using Pages = NumberPages<kFormat>;
  static constexpr int kOfLoad = Pages::kBf16 ? 2 : 1;  // positions
  static constexpr int kLoads = 8;
  static constexpr int kCount = kLoads * kOfLoad;
  uint4 words[kLoads];

  __device__ __forceinline__ void Load(const HeadValues& values, std::int64_t t) {
    const std::uint8_t* page = values.PageOf(t);
    const int place = static_cast<int>(t % kPagePositions);
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      words[i] = Load16(page + Pages::Value(values.pages, place + i * kOfLoad, values.dim));
    }
  }

  // Adds position i with a weight.
  __device__ __forceinline__ void AddTo(FourDims& sum, int i, float weight) const {
    const uint4& load = words[i / kOfLoad];
    const std::uint32_t of_dim[4] = {load.x, load.y, load.z, load.w};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      sum.at[j] = __fmaf_rn(weight, Pages::NumberOf(of_dim[j], i % kOfLoad), sum.at[j]);
    }
  }
};

// Two pages.
template <>
struct ValuesTogether<KvFormat::kQ8> {
  static constexpr int kCount = 2 * kPagePositions;
  std::uint32_t codes[kCount];
  uint4 scales[kCount / 8];

  __device__ __forceinline__ void Load(const HeadValues& values, std::int64_t t) {
    const std::uint8_t* page[] = {values.PageOf(t), values.PageOf(t + kPagePositions)};
    const auto first = static_cast<int>(values.pages.Value(0, values.dim));
    const auto scale = static_cast<int>(values.pages.ValueScale(0, values.dim / kGroup));
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const std::uint8_t* at = page[half] + first;
#pragma unroll
      for (int i = 0; i < kPagePositions; ++i) {
        codes[half * kPagePositions + i] = Load4(at);
        at += values.pages.padded_dim;
      }
      scales[2 * half] = Load16(page[half] + scale);
      scales[2 * half + 1] = Load16(page[half] + scale + 16);
    }
  }

  __device__ __forceinline__ float ScaleOf(int i) const {
    const uint4& load = scales[i / 8];
    const std::uint32_t two[4] = {load.x, load.y, load.z, load.w};
    return NumberPages<KvFormat::kBf16>::NumberOf(two[i % 8 / 2], i % 2);
  }

  __device__ __forceinline__ void AddTo(FourDims& sum, int i, float weight) const {
    sum.AddCodes(__fmul_rn(weight, ScaleOf(i)), codes[i]);
  }
};

// Adds one position.
template <KvFormat kFormat>
__device__ __forceinline__ void AddValue(const HeadValues& values, std::int64_t t, float weight,
                                         FourDims& sum) {
  const std::uint8_t* page = values.PageOf(t);
  const int place = static_cast<int>(t % kPagePositions);
  if constexpr (kFormat == KvFormat::kQ8) {
    const float scale = LoadBf16(page + values.pages.ValueScale(place, values.dim / kGroup));
    sum.AddCodes(__fmul_rn(weight, scale), Load4(page + values.pages.Value(place, values.dim)));
  } else {
    using Pages = NumberPages<kFormat>;
    const int half = Pages::kBf16 ? place % 2 : 0;
    const uint4 words = Load16(page + Pages::Value(values.pages, place - half, values.dim));
    const std::uint32_t of_dim[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      sum.at[i] = __fmaf_rn(weight, Pages::NumberOf(of_dim[i], half), sum.at[i]);
    }
  }
}

// The weighted values of positions [begin, end), in order.
//   weights   of the positions from `begin` on
template <KvFormat kFormat>
__device__ __forceinline__ FourDims SumOfValues(const HeadValues& values, std::int64_t begin,
                                                std::int64_t end, const float* weights) {
  using Together = ValuesTogether<kFormat>;
  FourDims sum;
  std::int64_t t = begin;
#pragma unroll 1
  for (; t < end && t % Together::kCount != 0; ++t) {
    AddValue<kFormat>(values, t, *weights++, sum);
  }
#pragma unroll 1
  for (; t + Together::kCount <= end; t += Together::kCount) {
    Together together;
    together.Load(values, t);
#pragma unroll
    for (int i = 0; i < Together::kCount; ++i) together.AddTo(sum, i, weights[i]);
    weights += Together::kCount;
  }
#pragma unroll 1
  for (; t < end; ++t) AddValue<kFormat>(values, t, *weights++, sum);
  return sum;
}

}  // namespace fallow::cuda
