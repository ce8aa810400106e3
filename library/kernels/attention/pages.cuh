// Pages of keys and values as device code finds its way in them: kv_page.h.
#pragma once

#include "kernels/attention/kv_page.h"
#include "kernels/cuda/portable.cuh"
#include "kernels/numeric.h"

namespace fallow::cuda {

// The head pages of one block of a span.
struct HeadPages {
  std::uint8_t* pool;  // the block's part of page 0
  std::int64_t page_bytes;
  std::int64_t head_bytes;
  std::int64_t key_bytes;
  int head_dim;
  int padded_dim;
  int kv_heads;

  __device__ __forceinline__ int groups() const { return (head_dim + kGroup - 1) / kGroup; }
  __device__ __forceinline__ std::uint8_t* At(std::int32_t page, int kv_head) const {
    return pool + page * page_bytes + kv_head * head_bytes;
  }

  // Bytes from the start of a head page of kQ8. Four dims from a multiple of four on lie side by
  // side.
  __device__ __forceinline__ std::int64_t Key(int place, int dim) const {
    return std::int64_t{dim / kKeyBlock} * kKeyBlockBytes + kKeyScaleBytes +
           dim % kKeyBlock / 4 * 64 + place * 4 + dim % 4;
  }
  __device__ __forceinline__ std::int64_t Value(int place, int dim) const {
    return key_bytes + std::int64_t{place} * padded_dim + dim;
  }
  __device__ __forceinline__ std::int64_t KeyScale(int place, int group) const {
    return std::int64_t{group / 2} * kKeyBlockBytes + group % 2 * 32 + place * 2;
  }
  __device__ __forceinline__ std::int64_t ValueScale(int place, int group) const {
    return key_bytes + std::int64_t{kPagePositions} * padded_dim + group * 32 + place * 2;
  }
};

__device__ __forceinline__ float LoadBf16(const std::uint8_t* p) {
  return FloatFromBf16(*reinterpret_cast<const std::uint16_t*>(p));
}
__device__ __forceinline__ void StoreBf16(float x, std::uint8_t* p) {
  *reinterpret_cast<std::uint16_t*>(p) = Bf16FromFloat(x);
}

// Head pages of numbers that stand for themselves.
template <KvFormat kFormat>
struct NumberPages {
  static constexpr bool kBf16 = kFormat == KvFormat::kBf16;
  static constexpr int kKeyDims = kBf16 ? 2 : 1;  // of a word

  // Bytes from the start of a head page.
  static __device__ __forceinline__ std::int64_t Key(int place, int dim) {
    return dim / kKeyDims * 64 + place * 4 + dim % kKeyDims * 2;
  }
  static __device__ __forceinline__ std::int64_t Value(const HeadPages& pages, int place, int dim) {
    if (!kBf16) return pages.key_bytes + (std::int64_t{place} * pages.padded_dim + dim) * 4;
    return pages.key_bytes + dim / 16 * 512 + place / 2 * 64 + dim % 16 * 4 + place % 2 * 2;
  }

  static __device__ __forceinline__ void Store(float x, std::uint8_t* p) {
    if (kBf16) {
      StoreBf16(x, p);
    } else {
      *reinterpret_cast<float*>(p) = x;
    }
  }

  // Number `half` of a word: of fp32 the only one.
  static __device__ __forceinline__ float NumberOf(std::uint32_t word, int half) {
    return __uint_as_float(!kBf16 ? word : half == 0 ? word << 16 : word & 0xffff0000u);
  }
};

inline HeadPages HeadPagesOf(const KvView& kv) {
  const KvLayout& layout = kv.layout;
  return {.pool = kv.pool + kv.block * layout.block_bytes(),
          .page_bytes = layout.page_bytes(),
          .head_bytes = layout.head_bytes(),
          .key_bytes = layout.key_bytes(),
          .head_dim = layout.head_dim,
          .padded_dim = layout.padded_dim(),
          .kv_heads = layout.kv_heads};
}

}  // namespace fallow::cuda
