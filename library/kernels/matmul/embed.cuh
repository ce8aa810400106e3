// Rows of an embedding on a GPU. Definition and shapes: matmul.h; the bits of exact.cc, for every
// type of weights. Has not run on a device.
//
//   EmbedKernel   grid (rows), block 128
//                 a number: 4 bytes written, and read what its panel has for it, in sectors that 8
//                 rows share; 2 operations
#pragma once

#include "kernels/matmul/matmul.h"
#include "kernels/matmul/panel_codes.cuh"

namespace fallow::cuda {

inline constexpr int kEmbedThreads = 128;

template <typename T>
__device__ __forceinline__ T ReadAt(const std::uint8_t* p) {
  return *reinterpret_cast<const T*>(p);
}

// Number k of a row of a quantised panel.
__device__ __forceinline__ float Dequantised(WeightType type, const std::uint8_t* panel, int lane,
                                             std::int64_t k) {
  const CodePlace place = PlaceOfCode(type, k, lane);
  int code = panel[place.offset];
  if (type != WeightType::kQ8) code = code >> place.shift & 15;
  if (type == WeightType::kNl4) {
    code = static_cast<std::int8_t>(LookUpFour(static_cast<unsigned>(code)) & 0xffu);
  } else {
    code -= ZeroPoint(type);
  }
  const std::uint8_t* at = panel + ScaleOffset(type, k / kGroup, lane);
  const float scale = FloatFromFp16(ReadAt<std::uint16_t>(at));
  const auto value = static_cast<float>(code);
  if (type != WeightType::kQ4_1) return __fmul_rn(value, scale);
  return __fmaf_rn(value, scale, FloatFromFp16(ReadAt<std::uint16_t>(at + kSliceBytes)));
}

static __global__ void __launch_bounds__(kEmbedThreads)
    EmbedKernel(EmbedArgs args, std::int64_t panel_bytes, std::int64_t first_row) {
  const std::int64_t row = first_row + blockIdx.x;
  const std::int32_t id = args.ids[row];
  const std::uint8_t* panel = args.table.data + id / kPanelRows * panel_bytes;
  const int lane = id % kPanelRows;
  const WeightType type = args.table.type;
  for (std::int64_t k = threadIdx.x; k < args.table.cols; k += kEmbedThreads) {
    const std::uint8_t* at = panel + ValueOffset(type, k, lane);
    float value = 0;
    if (type == WeightType::kFp32) {
      value = ReadAt<float>(at);
    } else if (type == WeightType::kBf16) {
      value = FloatFromBf16(ReadAt<std::uint16_t>(at));
    } else {
      value = Dequantised(type, panel, lane, k);
    }
    args.out[row * args.table.cols + k] = __fmul_rn(value, args.scale);
  }
}

inline cudaError_t LaunchEmbed(const EmbedArgs& args, Range rows, cudaStream_t stream = nullptr) {
  if (rows.begin == rows.end) return cudaSuccess;
  return Launch(EmbedKernel,
                {.grid = static_cast<unsigned>(rows.end - rows.begin),
                 .block = kEmbedThreads,
                 .stream = stream},
                args, PanelBytes(args.table.type, args.table.cols), rows.begin);
}

}  // namespace fallow::cuda
