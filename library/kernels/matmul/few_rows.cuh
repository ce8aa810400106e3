// Products of quantised weights with a few rows of activations on a GPU's tensor cores. Definition
// and shapes: matmul.h; the bits of exact.cc, from the panels as the CPU packs them. Has not run on
// a device.
//
// A group of 32 k is one mma.m16n8k32 a panel, whose 16 rows are the panel's and whose 8 columns
// are rows of x. A warp takes two panels and a segment of 16 groups at a time, and the block's sums
// of segments are added in order.
//   FewRowsKernel<type>   grid (pairs of panels, tiles of 8 rows of x), block 256
//     a weight: 1.06 bytes (q8), 0.56 (q4_0, nl4) or 0.63 (q4_1), read once a tile. Each warp
//     copies blocks of 64 k of weights and of x into a ring of its own, two or three ahead of use,
//     on into its next segment: so enough is under way whatever the registers hold. A block takes
//     about 170 issue slots (nl4: 290), so a multiprocessor can use 27 bytes a cycle (nl4: 16; q8:
//     50); an H100's memory brings it 14.
#pragma once

#include "kernels/cuda/portable.cuh"
#include "kernels/exact_math.h"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/panel_codes.cuh"
#include "kernels/matmul/skinny.cuh"

namespace fallow::cuda {

inline constexpr int kMostFewRows = 8;  // each has a warp that adds its segments
inline constexpr int kSegmentBlocks = exact::kSegmentGroups * kGroup / kBlockK;

// At most kMostFewRows consecutive rows of the activations. A row beyond them is the last one
// again.
struct RowTile {
  const std::int8_t* codes;
  const float* scale;
  const std::int32_t* sum;
  const float* scaled_sum;
  int count;
  int groups;  // of a row

  // Number of a row's group in the arrays above.
  __device__ __forceinline__ int At(int m, int group) const {
    return Smaller(m, count - 1) * groups + group;
  }
};

__device__ __forceinline__ RowTile TileOf(const Activations& x, std::int64_t first) {
  const int groups = static_cast<int>(x.k / kGroup);
  return {.codes = x.codes + first * x.k,
          .scale = x.scale + first * groups,
          .sum = x.sum + first * groups,
          .scaled_sum = x.scaled_sum + first * groups,
          .count = static_cast<int>(Smaller<std::int64_t>(kMostFewRows, x.rows - first)),
          .groups = groups};
}

// Pieces of 16 bytes lie in an order in which those that are read at once are in different banks:
// PlaceOfCodes(), PlaceOfRowCodes(). So do the rows of the arrays, by their lengths.
template <WeightType kType>
struct FewRowsShared {
  using Places = PanelPlaces<kType>;
  static constexpr int kStages = kType == WeightType::kQ8 ? 3 : 4;

  // 64 k.
  struct Stage {
    std::uint8_t codes[kPanelsAtOnce][2 * Places::kCodes];
    std::uint8_t headers[kPanelsAtOnce][Places::kHeader];
    std::uint8_t rows[kMostFewRows][kBlockK];
  };
  // What else a segment needs of x, by group.
  struct OfRows {
    static constexpr bool kHasMore = kType == WeightType::kQ4_0 || kType == WeightType::kQ4_1;
    static constexpr int kLength = exact::kSegmentGroups + 4;
    float scale[kMostFewRows][kLength];
    // Of kQ4_1 the bits of scaled_sum, of kQ4_0 exact::kRounderBits less what zero points add.
    std::uint32_t more[kHasMore ? kMostFewRows : 1][kLength];
  };

  alignas(128) Stage stages[kSegmentsAtOnce][kStages];
  OfRows of_rows[kSegmentsAtOnce];
  float sums[kSegmentsAtOnce][kMostFewRows][kWarp + 4];  // in the order of ColumnOf()
};

// Where a panel's 16 bytes of four rows lie among the codes of a block.
__device__ __forceinline__ int PlaceOfCodes(int slice, int quad) {
  const int piece = slice * 4 + quad;
  return (piece ^ piece / 8 % 4 * 2) * 16;
}

// Where a row of x has its 16 codes.
__device__ __forceinline__ int PlaceOfRowCodes(int row, int piece) {
  return row * kBlockK + (piece ^ row / 2 % 2 * 2) * 16;
}

// The column of a block's 32 whose sum lies at `place`: a lane's two rows of a panel lie eight
// apart.
__device__ __forceinline__ int ColumnOf(int place) {
  return place / kPanelRows * kPanelRows + place % 8 * 2 + place / 8 % 2;
}

// What a lane copies of each block, and how far the warp is with it.
template <WeightType kType>
struct BlockCopies {
  using Shared = FewRowsShared<kType>;
  using Places = PanelPlaces<kType>;
  static constexpr int kHeaderLanes = kPanelsAtOnce * Places::kHeader / 16;

  const std::uint8_t* codes[kPanelsAtOnce];
  const std::uint8_t* header;
  const std::int8_t* row;
  int to_codes;
  int to_row;
  bool has_row;
  int next;       // block to be copied
  int blocks;     // of a row
  int stage = 0;  // to which `next` is copied

  // Begins to copy a block, if there is one, and counts on. Closes a group of copies.
  __device__ __forceinline__ void Begin(typename Shared::Stage (&stages)[Shared::kStages]) {
    if (next < blocks) {
      typename Shared::Stage& to = stages[stage];
      const std::int64_t from = std::int64_t{next} * Places::kBlock;
#pragma unroll
      for (int panel = 0; panel < kPanelsAtOnce; ++panel) {
#pragma unroll
        for (int begin = 0; begin < 2 * Places::kCodes; begin += 16 * kWarp) {
          CopyAsync16(to.codes[panel] + begin + to_codes, codes[panel] + from + begin);
        }
      }
      if (Lane() < kHeaderLanes) CopyAsync16(to.headers[0] + Lane() * 16, header + from);
      CopyAsync16(to.rows[0] + to_row, row + std::int64_t{next} * kBlockK, has_row);
      stage = stage + 1 == Shared::kStages ? 0 : stage + 1;
      ++next;
      // Those of other warps' segments are passed over.
      if (next % kSegmentBlocks == 0) next += (kSegmentsAtOnce - 1) * kSegmentBlocks;
    }
    CommitCopies();
  }
};

//   panels   of the block, beyond the end the last one again
template <WeightType kType>
__device__ __forceinline__ BlockCopies<kType> CopiesOf(
    const std::uint8_t* const (&panels)[kPanelsAtOnce], const RowTile& x) {
  using Places = PanelPlaces<kType>;
  constexpr int kPiecesOfHeader = Places::kHeader / 16;
  const int row = Lane() / 4;
  BlockCopies<kType> copies;
#pragma unroll
  for (int panel = 0; panel < kPanelsAtOnce; ++panel) {
    copies.codes[panel] = panels[panel] + Places::kHeader + Lane() * 16;
  }
  copies.header =
      (Lane() < kPiecesOfHeader ? panels[0] : panels[1]) + Lane() % kPiecesOfHeader * 16;
  copies.row = x.codes + x.At(row, 0) * kGroup + Lane() % 4 * 16;
  copies.to_codes = PlaceOfCodes(Lane() / 4, Lane() % 4);
  copies.to_row = PlaceOfRowCodes(row, Lane() % 4);
  copies.has_row = row < x.count;
  copies.next = WarpOfBlock() * kSegmentBlocks;
  copies.blocks = x.groups / 2;
  return copies;
}

// To be read after a __syncwarp. Groups beyond the last one are not read.
template <WeightType kType>
__device__ __forceinline__ void CopyOfRows(const RowTile& x, int segment,
                                           typename FewRowsShared<kType>::OfRows& of_rows) {
  const int group = Lane() % exact::kSegmentGroups;
  const int of_x = Smaller(segment * exact::kSegmentGroups + group, x.groups - 1);
#pragma unroll
  for (int i = 0; i < kMostFewRows / 2; ++i) {
    const int row = i + Lane() / exact::kSegmentGroups * (kMostFewRows / 2);
    const int at = x.At(row, of_x);
    of_rows.scale[row][group] = x.scale[at];
    if (kType == WeightType::kQ4_1) of_rows.more[row][group] = __float_as_uint(x.scaled_sum[at]);
    if (kType == WeightType::kQ4_0) {
      of_rows.more[row][group] =
          static_cast<std::uint32_t>(exact::kRounderBits - PanelPlaces<kType>::kZero * x.sum[at]);
    }
  }
}

// Number i is of row 2 (lane / 4) + i / 2 of a panel and row 2 (lane % 4) + i % 2 of x.
struct FewRowsSums {
  float at[kPanelsAtOnce][4] = {};
};

// The lane's codes of a panel and group, for rows 2 (lane / 4) and the next of the panel: eight k
// from 8 (lane % 4) on, as two words each.
template <WeightType kType>
__device__ __forceinline__ void LoadPanelCodes(const std::uint8_t* codes, int half,
                                               std::uint32_t (&a)[4]) {
  const int quad = Lane() / 8;
  const int of_quad = Lane() / 4 % 2 * 8;
  if constexpr (kType == WeightType::kQ8) {
    constexpr unsigned kToSigned = 0x80808080u;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int slice = half * 8 + Lane() % 4 * 2 + i;
      const uint2 words = Load8(codes + PlaceOfCodes(slice, quad) + of_quad);
      a[2 * i] = words.x ^ kToSigned;
      a[2 * i + 1] = words.y ^ kToSigned;
    }
  } else {
    const int slice = half * 4 + Lane() % 4;
    const uint2 words = Load8(codes + PlaceOfCodes(slice, quad) + of_quad);
    const EightCodes even = EightOf<kType>(words.x);
    const EightCodes odd = EightOf<kType>(words.y);
    a[0] = static_cast<std::uint32_t>(even.first);
    a[1] = static_cast<std::uint32_t>(odd.first);
    a[2] = static_cast<std::uint32_t>(even.second);
    a[3] = static_cast<std::uint32_t>(odd.second);
  }
}

// For the two rows of x of a lane: of the two groups of a block.
struct PairOfRows {
  uint2 scale[2];
  uint2 more[2];
};

template <WeightType kType>
__device__ __forceinline__ PairOfRows LoadRows(const typename FewRowsShared<kType>::OfRows& of_rows,
                                               int group) {
  PairOfRows rows = {};
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int row = Lane() % 4 * 2 + i;
    rows.scale[i] = Load8(&of_rows.scale[row][group]);
    if (of_rows.kHasMore) rows.more[i] = Load8(&of_rows.more[row][group]);
  }
  return rows;
}

__device__ __forceinline__ std::uint32_t Half(const uint2& pair, int half) {
  return half == 0 ? pair.x : pair.y;
}

// Adds the products of a group to the sums of a panel.
//   header   of the panel's block
template <WeightType kType>
__device__ __forceinline__ void AddGroup(const std::uint32_t (&codes)[4],
                                         const std::uint32_t (&of_x)[2], const std::uint8_t* header,
                                         int half, const PairOfRows& rows, float (&sums)[4]) {
  std::int32_t dots[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    dots[i] = kType == WeightType::kQ4_0 ? static_cast<std::int32_t>(Half(rows.more[i % 2], half))
                                         : exact::kRounderBits;
  }
  MultiplyAddInt8(dots, codes, of_x);
  const std::uint8_t* scales = header + half * (kPanelRows * 2) + Lane() / 4 * 4;
  const std::uint32_t scale = Load4(scales);
  const std::uint32_t minimum = kType == WeightType::kQ4_1 ? Load4(scales + kSliceBytes) : 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int shift = i / 2 * 16;
    // As bits it is a float, from which the rounder is to be taken.
    const float dot = __fsub_rn(__uint_as_float(static_cast<unsigned>(dots[i])), exact::kRounder);
    const float of_weight = FloatFromFp16(static_cast<std::uint16_t>(scale >> shift));
    const float of_row = __uint_as_float(Half(rows.scale[i % 2], half));
    sums[i] = __fmaf_rn(dot, __fmul_rn(of_weight, of_row), sums[i]);
    if (kType == WeightType::kQ4_1) {
      sums[i] = __fmaf_rn(FloatFromFp16(static_cast<std::uint16_t>(minimum >> shift)),
                          __uint_as_float(Half(rows.more[i % 2], half)), sums[i]);
    }
  }
}

// The sums of the warp's segment, groups in order.
//   blocks   that it has
//   stage    of the first; then of the first of the warp's next segment
template <WeightType kType>
__device__ __forceinline__ FewRowsSums SumSegment(FewRowsShared<kType>& shared,
                                                  BlockCopies<kType>& copies, int blocks,
                                                  int& stage) {
  using Shared = FewRowsShared<kType>;
  auto& stages = shared.stages[WarpOfBlock()];
  FewRowsSums sums;
#pragma unroll 1
  for (int block = 0; block < blocks; ++block) {
    WaitForCopies<Shared::kStages - 2>();
    __syncwarp();  // all have their copies, and have read the stage that is copied to next
    copies.Begin(stages);
    const typename Shared::Stage& at = stages[stage];
    const PairOfRows rows = LoadRows<kType>(shared.of_rows[WarpOfBlock()], 2 * block);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int piece = 2 * half + Lane() % 4 / 2;
      const uint2 words = Load8(at.rows[0] + PlaceOfRowCodes(Lane() / 4, piece) + Lane() % 2 * 8);
      const std::uint32_t of_x[2] = {words.x, words.y};
#pragma unroll
      for (int panel = 0; panel < kPanelsAtOnce; ++panel) {
        std::uint32_t codes[4];
        LoadPanelCodes<kType>(at.codes[panel], half, codes);
        AddGroup<kType>(codes, of_x, at.headers[panel], half, rows, sums.at[panel]);
      }
    }
    stage = stage + 1 == Shared::kStages ? 0 : stage + 1;
  }
  return sums;
}

template <WeightType kType>
__global__ void __launch_bounds__(kSegmentsAtOnce* kWarp, 2)
    FewRowsKernel(MatmulArgs args, Range panels, std::int64_t panel_bytes) {
  auto& shared = SharedStorage<FewRowsShared<kType>>();
  const int lane = Lane();
  const int warp = WarpOfBlock();
  const std::int64_t first = panels.begin + std::int64_t{blockIdx.x} * kPanelsAtOnce;
  const std::int64_t first_row = std::int64_t{blockIdx.y} * kMostFewRows;
  const RowTile x = TileOf(args.x, first_row);
  const std::uint8_t* const of_panels[kPanelsAtOnce] = {
      args.weight.data + first * panel_bytes,
      args.weight.data + Smaller(first + 1, panels.end - 1) * panel_bytes};
  auto copies = CopiesOf<kType>(of_panels, x);
#pragma unroll
  for (int i = 0; i < FewRowsShared<kType>::kStages - 1; ++i) copies.Begin(shared.stages[warp]);
  const int segments = (x.groups + exact::kSegmentGroups - 1) / exact::kSegmentGroups;
  int stage = 0;
  float total = 0;  // of row `warp`
  for (int begin = 0; begin < segments; begin += kSegmentsAtOnce) {
    const int segment = begin + warp;
    if (segment < segments) {
      CopyOfRows<kType>(x, segment, shared.of_rows[warp]);
      const int blocks = Smaller(kSegmentBlocks, copies.blocks - segment * kSegmentBlocks);
      const FewRowsSums sums = SumSegment<kType>(shared, copies, blocks, stage);
#pragma unroll
      for (int panel = 0; panel < kPanelsAtOnce; ++panel) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int place = panel * kPanelRows + i / 2 * 8 + lane / 4;
          shared.sums[warp][lane % 4 * 2 + i % 2][place] = sums.at[panel][i];
        }
      }
    }
    __syncthreads();
    const int count = Smaller(kSegmentsAtOnce, segments - begin);
    for (int i = 0; i < count; ++i) total = __fadd_rn(total, shared.sums[i][warp][lane]);
    __syncthreads();
  }
  const std::int64_t n = first * kPanelRows + ColumnOf(lane);
  if (warp >= x.count || n >= Smaller(panels.end * kPanelRows, args.weight.rows)) return;
  if (args.bias) total = __fadd_rn(total, args.bias[n]);
  float& y = args.y[(first_row + warp) * args.stride + n];
  y = args.add ? __fadd_rn(y, total) : total;
}

template <WeightType kType>
cudaError_t LaunchFewRowsOf(const MatmulArgs& args, Range panels, cudaStream_t stream) {
  const std::int64_t pairs = (panels.end - panels.begin + kPanelsAtOnce - 1) / kPanelsAtOnce;
  const std::int64_t tiles = (args.x.rows + kMostFewRows - 1) / kMostFewRows;
  return Launch(FewRowsKernel<kType>,
                {.grid = {static_cast<unsigned>(pairs), static_cast<unsigned>(tiles)},
                 .block = kSegmentsAtOnce * kWarp,
                 .shared_bytes = sizeof(FewRowsShared<kType>),
                 .stream = stream},
                args, panels, PanelBytes(kType, args.weight.cols));
}

// For quantised weights, which are read once for every kMostFewRows rows of x.
inline cudaError_t LaunchFewRows(const MatmulArgs& args, Range panels, cudaStream_t stream) {
  if (panels.begin == panels.end || args.x.rows == 0) return cudaSuccess;
  switch (args.weight.type) {
    case WeightType::kQ8:
      return LaunchFewRowsOf<WeightType::kQ8>(args, panels, stream);
    case WeightType::kQ4_0:
      return LaunchFewRowsOf<WeightType::kQ4_0>(args, panels, stream);
    case WeightType::kQ4_1:
      return LaunchFewRowsOf<WeightType::kQ4_1>(args, panels, stream);
    case WeightType::kNl4:
      return LaunchFewRowsOf<WeightType::kNl4>(args, panels, stream);
    default:
      return cudaErrorInvalidConfiguration;
  }
}

}  // namespace fallow::cuda
