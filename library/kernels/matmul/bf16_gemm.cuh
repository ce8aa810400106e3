// Products of bf16 weights with many rows of activations on a GPU's tensor cores. Definition and
// shapes: matmul.h; the order of sums is free. Has not run on a device.
//
//   Bf16GemmKernel<kRows>   grid (tiles of kRows rows, tiles of 4 panels), block 128: a warp takes
//                           half of the rows and 2 panels
//     Rows and weights are copied to shared memory three steps of 32 k ahead of use. A number and
//     16 k: 16 multiply-adds by the tensor cores, and no others. For a step shared memory moves
//     192 kRows + 12288 bytes, 128 a cycle; the tensor cores of an A100 need 2 kRows cycles, those
//     of an H100 kRows, so there it sets the pace: with 128 rows at 0.44 of theirs, which is also
//     what reading the weights from memory once for 128 rows allows.
#pragma once

#include "kernels/cuda/portable.cuh"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/panel_layout.h"

namespace fallow::cuda {

inline constexpr int kBf16GemmThreads = 128;
inline constexpr int kBf16GemmPanels = 4;
inline constexpr int kStepK = 32;
inline constexpr int kRowBytes = kStepK * 2;                 // of a step
inline constexpr int kStepBytes = kStepK / 2 * kSliceBytes;  // of a panel
inline constexpr int kBf16Stages = 4;
inline constexpr int kPanelsOfWarp = 2;
inline constexpr int kPiece = 16;  // bytes of a copy

// Pieces lie in an order in which those that are read at once are in different banks.
template <int kRows>
struct Bf16GemmShared {
  struct Stage {
    std::uint8_t rows[kRows * kRowBytes];
    std::uint8_t weights[kBf16GemmPanels * kStepBytes];
  };
  alignas(128) Stage stages[kBf16Stages];
};

// Where a row has its piece of 8 k: eight rows from a multiple of 8 on differ in all banks.
__device__ __forceinline__ int PlaceOfRowPiece(int row, int piece) {
  return (piece ^ row / 2 % 4) * kPiece;
}

// Where a panel has the piece of a pair of k and four columns: four pairs from a multiple of 4 on,
// of 8 columns, differ in all banks.
__device__ __forceinline__ int PlaceOfPanelPiece(int pair, int quad) {
  return pair * kSliceBytes + (quad ^ pair / 2 % 2 * 2) * kPiece;
}

// What a thread copies in each step.
template <int kRows>
struct Bf16Copies {
  static constexpr int kPieces = kRowBytes / kPiece;  // of a row
  static constexpr int kRowsAtOnce = kBf16GemmThreads / kPieces;
  static constexpr int kRowCopies = kRows / kRowsAtOnce;
  static constexpr int kPanelCopies = kBf16GemmPanels * kStepBytes / kPiece / kBf16GemmThreads;

  const std::uint16_t* row[kRowCopies];
  bool valid[kRowCopies];
  const std::uint8_t* weights[kPanelCopies];
  int to_row;      // byte of a stage's rows
  int to_weights;  // byte of a stage's weights
};

template <int kRows>
__device__ __forceinline__ Bf16Copies<kRows> CopiesOf(const MatmulArgs& args, Range panels,
                                                      std::int64_t panel_bytes) {
  using Copies = Bf16Copies<kRows>;
  const int thread = static_cast<int>(threadIdx.x);
  const int row = thread / Copies::kPieces;
  const int piece = thread % Copies::kPieces;
  Copies copies;
  copies.to_row = row * kRowBytes + PlaceOfRowPiece(row, piece);
#pragma unroll
  for (int i = 0; i < Copies::kRowCopies; ++i) {
    const std::int64_t from = std::int64_t{blockIdx.x} * kRows + row + i * Copies::kRowsAtOnce;
    copies.valid[i] = from < args.x.rows;
    copies.row[i] = args.x.bf16 + (copies.valid[i] ? from : 0) * args.x.k + piece * 8;
  }
  constexpr int kPiecesOfPanel = kStepBytes / kPiece;
  const int panel = thread / kPiecesOfPanel;
  const int of_panel = thread % kPiecesOfPanel;
  copies.to_weights = panel * kStepBytes + PlaceOfPanelPiece(of_panel / 4, of_panel % 4);
#pragma unroll
  for (int i = 0; i < Copies::kPanelCopies; ++i) {
    // Beyond the last panel it is read again, and not stored.
    const std::int64_t from = panels.begin + std::int64_t{blockIdx.y} * kBf16GemmPanels + panel +
                              i * (kBf16GemmThreads / kPiecesOfPanel);
    copies.weights[i] =
        args.weight.data + Smaller(from, panels.end - 1) * panel_bytes + of_panel * kPiece;
  }
  return copies;
}

// Begins to copy the next step, which it counts on; zeros beyond the last row.
template <int kRows>
__device__ __forceinline__ void CopyStep(Bf16Copies<kRows>& copies,
                                         typename Bf16GemmShared<kRows>::Stage& stage) {
  using Copies = Bf16Copies<kRows>;
#pragma unroll
  for (int i = 0; i < Copies::kRowCopies; ++i) {
    CopyAsync16(stage.rows + i * Copies::kRowsAtOnce * kRowBytes + copies.to_row, copies.row[i],
                copies.valid[i]);
    copies.row[i] += kStepK;
  }
#pragma unroll
  for (int i = 0; i < Copies::kPanelCopies; ++i) {
    CopyAsync16(stage.weights + i * (kBf16GemmThreads * kPiece) + copies.to_weights,
                copies.weights[i]);
    copies.weights[i] += kStepBytes;
  }
}

// What a lane has of a warp's tile: number i of at[t][p] is of row 2 (lane % 4) + i % 2 of eight
// rows, in column 2 (lane / 4) + i / 2 of a panel.
template <int kRows>
struct Bf16Tile {
  float at[kRows / 16][kPanelsOfWarp][4] = {};
};

// Bytes of a stage's rows and weights at which a lane's lie.
struct Bf16Reads {
  int rows;
  int weights;
};

template <int kRows>
__device__ __forceinline__ Bf16Reads ReadsOf() {
  const int row = WarpOfBlock() / 2 * (kRows / 2) + Lane() % 8;
  const int column = Lane() / 4 * 2;  // of a panel
  return {.rows = row * kRowBytes + PlaceOfRowPiece(row, Lane() / 8),
          .weights = WarpOfBlock() % 2 * kPanelsOfWarp * kStepBytes +
                     PlaceOfPanelPiece(Lane() % 4, column / 4) + column % 4 * 4};
}

// Weights are the products' 16 rows, x their 8 columns: so what one read brings lies in registers
// next to each other as the products want them.
template <int kRows>
__device__ __forceinline__ void AddStep(const Bf16Reads& reads,
                                        const typename Bf16GemmShared<kRows>::Stage& stage,
                                        Bf16Tile<kRows>& totals) {
  constexpr int kTilesAtOnce = 4;
  std::uint32_t weights[kStepK / 16][kPanelsOfWarp][4];
#pragma unroll
  for (int i = 0; i < kStepK / 16; ++i) {
#pragma unroll
    for (int panel = 0; panel < kPanelsOfWarp; ++panel) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {  // of the 16 k
        const uint2 words = Load8(stage.weights + reads.weights + panel * kStepBytes +
                                  (8 * i + 4 * half) * kSliceBytes);
        weights[i][panel][2 * half] = words.x;
        weights[i][panel][2 * half + 1] = words.y;
      }
    }
  }
#pragma unroll
  for (int first = 0; first < kRows / 16; first += kTilesAtOnce) {
    std::uint32_t rows[kTilesAtOnce][4];  // two words of each 16 k
#pragma unroll
    for (int t = 0; t < kTilesAtOnce; ++t) {
      LoadMatrices(rows[t], stage.rows + reads.rows + 8 * (first + t) * kRowBytes);
    }
#pragma unroll
    for (int i = 0; i < kStepK / 16; ++i) {
#pragma unroll
      for (int t = 0; t < kTilesAtOnce; ++t) {
        const std::uint32_t of_x[2] = {rows[t][2 * i], rows[t][2 * i + 1]};
#pragma unroll
        for (int panel = 0; panel < kPanelsOfWarp; ++panel) {
          MultiplyAddBf16(totals.at[first + t][panel], weights[i][panel], of_x);
        }
      }
    }
  }
}

template <int kRows>
__device__ __forceinline__ void StoreTile(const MatmulArgs& args, Range panels,
                                          const Bf16Tile<kRows>& totals) {
  const std::int64_t first_row =
      std::int64_t{blockIdx.x} * kRows + WarpOfBlock() / 2 * (kRows / 2) + Lane() % 4 * 2;
  const std::int64_t first_panel =
      panels.begin + std::int64_t{blockIdx.y} * kBf16GemmPanels + WarpOfBlock() % 2 * kPanelsOfWarp;
  const std::int64_t first_column = first_panel * kPanelRows + Lane() / 4 * 2;
  const std::int64_t end = Smaller(panels.end * kPanelRows, args.weight.rows);
#pragma unroll
  for (int t = 0; t < kRows / 16; ++t) {
#pragma unroll
    for (int panel = 0; panel < kPanelsOfWarp; ++panel) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const std::int64_t row = first_row + 8 * t + i % 2;
        const std::int64_t column = first_column + panel * kPanelRows + i / 2;
        if (row >= args.x.rows || column >= end) continue;
        float total = totals.at[t][panel][i];
        if (args.bias) total = __fadd_rn(total, args.bias[column]);
        float& y = args.y[row * args.stride + column];
        y = args.add ? __fadd_rn(y, total) : total;
      }
    }
  }
}

template <int kRows>
__global__ void __launch_bounds__(kBf16GemmThreads, kRows == 128 ? 3 : 4)
    Bf16GemmKernel(MatmulArgs args, Range panels, std::int64_t panel_bytes) {
  auto& shared = SharedStorage<Bf16GemmShared<kRows>>();
  auto copies = CopiesOf<kRows>(args, panels, panel_bytes);
  const Bf16Reads reads = ReadsOf<kRows>();
  const int steps = static_cast<int>(args.x.k / kStepK);
  Bf16Tile<kRows> totals;
#pragma unroll
  for (int step = 0; step < kBf16Stages - 1; ++step) {
    if (step < steps) CopyStep(copies, shared.stages[step]);
    CommitCopies();
  }
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    WaitForCopies<kBf16Stages - 2>();
    __syncthreads();  // all have read the stage that is copied to next
    if (step + kBf16Stages - 1 < steps) {
      CopyStep(copies, shared.stages[(step + kBf16Stages - 1) % kBf16Stages]);
    }
    CommitCopies();
    AddStep(reads, shared.stages[step % kBf16Stages], totals);
  }
  StoreTile(args, panels, totals);
}

template <int kRows>
cudaError_t LaunchBf16GemmOf(const MatmulArgs& args, Range panels, cudaStream_t stream) {
  const std::int64_t columns = (panels.end - panels.begin + kBf16GemmPanels - 1) / kBf16GemmPanels;
  return Launch(Bf16GemmKernel<kRows>,
                {.grid = {static_cast<unsigned>((args.x.rows + kRows - 1) / kRows),
                          static_cast<unsigned>(columns)},
                 .block = kBf16GemmThreads,
                 .shared_bytes = sizeof(Bf16GemmShared<kRows>),
                 .stream = stream},
                args, panels, PanelBytes(WeightType::kBf16, args.weight.cols));
}

// In tiles of 128 rows, unless those of 64 leave fewer empty.
inline cudaError_t LaunchBf16Gemm(const MatmulArgs& args, Range panels, cudaStream_t stream) {
  const bool even = (args.x.rows + 63) / 64 % 2 == 0;
  return even ? LaunchBf16GemmOf<128>(args, panels, stream)
              : LaunchBf16GemmOf<64>(args, panels, stream);
}

}  // namespace fallow::cuda
