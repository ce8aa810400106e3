// Keys and values into pages on a GPU. Definition and shapes: attention.h; of kQ8 the bits of
// exact.cc. Has not run on a device.
//
//   AppendKernel                 for kQ8: grid (rows, kv heads), block head_dim rounded up to 32: a
//                                warp takes a group
//     a number of keys or values: 4 bytes read, 1.06 written; 5 operations
//   AppendNumbersKernel<format>  for kFp32 and kBf16: the same grid and block, a thread a dim
//     a number of keys or values: 4 bytes read, 4 or 2 written
#pragma once

#include "kernels/attention/attention.h"
#include "kernels/attention/pages.cuh"
#include "kernels/attention/pass_rows.h"
#include "kernels/exact_math.h"
#include "kernels/quantize/kernel.cuh"

namespace fallow::cuda {

// AppendArgs for a device.
struct AppendCall {
  const float* key;
  const float* value;
  std::int64_t stride;
  const PassRow* rows;
  HeadPages pages;
};

struct AppendShared {
  bool failed[kMaxHeadDim / kGroup];  // whether a group of the key has
};

static __global__ void __launch_bounds__(kMaxHeadDim) AppendKernel(AppendCall call) {
  auto& shared = SharedStorage<AppendShared>();
  const HeadPages& pages = call.pages;
  const PassRow row = call.rows[blockIdx.x];
  if (!row.pages) return;
  const int kv_head = static_cast<int>(blockIdx.y);
  const int dim = static_cast<int>(threadIdx.x);
  const int group = WarpOfBlock();
  const bool inside = dim < pages.head_dim;
  const std::int64_t at = row.row * call.stride + std::int64_t{kv_head} * pages.head_dim + dim;
  const QuantisedLane key = QuantiseGroup(inside ? call.key[at] : 0.0f, exact::ScaleFormat::kBf16);
  const QuantisedLane value =
      QuantiseGroup(inside ? call.value[at] : 0.0f, exact::ScaleFormat::kBf16);
  if (Lane() == 0) shared.failed[group] = key.scale != key.scale;
  __syncthreads();
  bool failed = false;  // softmax would drop the position: its values tell instead
  for (int g = 0; g < pages.groups(); ++g) failed = failed || shared.failed[g];

  const int place = static_cast<int>(row.position % kPagePositions);
  std::uint8_t* page = pages.At(row.pages[row.position / kPagePositions], kv_head);
  page[pages.Key(place, dim)] = static_cast<std::uint8_t>(key.code + 128);
  page[pages.Value(place, dim)] = static_cast<std::uint8_t>(value.code);
  if (Lane() != 0) return;
  StoreBf16(key.scale, page + pages.KeyScale(place, group));
  StoreBf16(failed ? exact::kNoNumber : value.scale, page + pages.ValueScale(place, group));
}

template <KvFormat kFormat>
static __global__ void __launch_bounds__(kMaxHeadDim) AppendNumbersKernel(AppendCall call) {
  using Pages = NumberPages<kFormat>;
  const HeadPages& pages = call.pages;
  const PassRow row = call.rows[blockIdx.x];
  const int kv_head = static_cast<int>(blockIdx.y);
  const int dim = static_cast<int>(threadIdx.x);
  if (!row.pages || dim >= pages.head_dim) return;
  const std::int64_t at = row.row * call.stride + std::int64_t{kv_head} * pages.head_dim + dim;
  const int place = static_cast<int>(row.position % kPagePositions);
  std::uint8_t* page = pages.At(row.pages[row.position / kPagePositions], kv_head);
  Pages::Store(call.key[at], page + Pages::Key(place, dim));
  Pages::Store(call.value[at], page + Pages::Value(pages, place, dim));
}

// `rows` lies in device memory.
inline cudaError_t LaunchAppend(const AppendArgs& args, const PassRow* rows, std::int64_t count,
                                cudaStream_t stream = nullptr) {
  if (count == 0) return cudaSuccess;
  const KvLayout& layout = args.kv.layout;
  const int threads = (layout.head_dim + kGroup - 1) / kGroup * kGroup;
  const LaunchShape shape = {
      .grid = {static_cast<unsigned>(count), static_cast<unsigned>(layout.kv_heads)},
      .block = static_cast<unsigned>(threads),
      .shared_bytes = layout.format == KvFormat::kQ8 ? sizeof(AppendShared) : 0,
      .stream = stream};
  const AppendCall call{args.key, args.value, args.stride, rows, HeadPagesOf(args.kv)};
  switch (layout.format) {
    case KvFormat::kFp32:
      return Launch(AppendNumbersKernel<KvFormat::kFp32>, shape, call);
    case KvFormat::kBf16:
      return Launch(AppendNumbersKernel<KvFormat::kBf16>, shape, call);
    case KvFormat::kQ8:
      return Launch(AppendKernel, shape, call);
  }
  return cudaErrorInvalidConfiguration;
}

}  // namespace fallow::cuda
