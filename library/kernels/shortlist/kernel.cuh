// The likeliest tokens on a GPU. Definition and shapes: shortlist.h; its entries exactly. Has not
// run on a device.
//
// A radix select: logits become keys that order as they do, and each of three rounds counts the
// keys by 11 bits of those whose higher bits are known, until the least key that is taken is known
// whole. Then warps, each with a part of the row, find out how many entries come before theirs.
//   ShortlistKernel   grid (rows), block 512
//     a logit: 4 bytes read 5 times, from memory the first; about 40 operations. Shared memory: an
//     atomic addition a logit, in the first round alone for all.
#pragma once

#include "kernels/cuda/portable.cuh"
#include "kernels/shortlist/shortlist.h"

namespace fallow::cuda {

inline constexpr int kShortlistThreads = 512;
inline constexpr int kShortlistWarps = kShortlistThreads / kWarp;
inline constexpr int kBins = 2048;
inline constexpr int kBinChunks = kBins / kWarp;
static_assert(kBinChunks == 2 * kWarp, "a lane has two");

// Of a warp's part of the row.
struct PartCounts {
  int above;  // the least key
  int equal;  // to it
};

struct ShortlistShared {
  int bins[kBins];
  int chunks[kBinChunks];  // sums of 32 bins
  int bin;                 // of the least key that is taken
  int above;               // keys in higher bins
  PartCounts parts[kShortlistWarps];
  bool finite[kShortlistWarps];
};

__device__ __forceinline__ bool IsFinite(float x) {
  return (__float_as_uint(x) & 0x7fffffffu) < 0x7f800000u;
}

__device__ __forceinline__ float Tamed(float logit) {
  if (IsFinite(logit)) return logit;
  const bool largest = __float_as_uint(logit) == 0x7f800000u;
  return __uint_as_float(largest ? 0x7f7fffffu : 0xff800000u);
}

// Greater for a greater logit; zeros of both signs have the same.
__device__ __forceinline__ std::uint32_t KeyOf(float logit) {
  const std::uint32_t bits = __float_as_uint(Tamed(logit));
  if (bits == 0x80000000u) return bits;
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

// The sum of this lane's value and those of all after it.
__device__ __forceinline__ int SumFromHere(int value) {
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const int other = __shfl_down_sync(kAllLanes, value, distance);
    if (Lane() + distance < kWarp) value += other;
  }
  return value;
}

// Adds up 32 bins at a time.
__device__ __forceinline__ void SumChunks(ShortlistShared& shared) {
  for (int chunk = WarpOfBlock(); chunk < kBinChunks; chunk += kShortlistWarps) {
    const int sum = SumFromHere(shared.bins[chunk * kWarp + Lane()]);
    if (Lane() == 0) shared.chunks[chunk] = sum;
  }
}

// Finds the highest bin such that it and those above hold `wanted` keys. Called by one warp.
__device__ __forceinline__ void ChooseBin(int wanted, ShortlistShared& shared) {
  const int low = shared.chunks[2 * Lane()];
  const int high = shared.chunks[2 * Lane() + 1];
  const int of_pair = SumFromHere(low + high);
  // The sums fall from lane to lane: those that are enough are the first ones.
  const int lane = __popc(__ballot_sync(kAllLanes, of_pair >= wanted)) - 1;
  const bool in_high = of_pair - low >= wanted;
  const int chunk = __shfl_sync(kAllLanes, 2 * Lane() + (in_high ? 1 : 0), lane);
  const int above = __shfl_sync(kAllLanes, of_pair - low - (in_high ? high : 0), lane);
  const int keys = shared.bins[chunk * kWarp + Lane()];
  const int so_far = SumFromHere(keys) + above;
  const int bin = __popc(__ballot_sync(kAllLanes, so_far >= wanted)) - 1;
  if (Lane() != bin) return;
  shared.bin = chunk * kWarp + bin;
  shared.above = so_far - keys;
}

// The least key that is taken, and how many of those that equal it are.
struct LeastTaken {
  std::uint32_t key;
  int count;
};

__device__ __forceinline__ LeastTaken FindLeast(const float* logits, int n, int count,
                                                ShortlistShared& shared) {
  LeastTaken least = {0, count};
  std::uint32_t known = 0;  // bits of the key
#pragma unroll 1
  for (int round = 0; round < 3; ++round) {
    const int shift = round == 0 ? 21 : round == 1 ? 10 : 0;  // the last has a bit that is known
    const int thread = static_cast<int>(threadIdx.x);
    for (int i = thread; i < kBins; i += kShortlistThreads) shared.bins[i] = 0;
    __syncthreads();
    bool finite = true;
#pragma unroll 4
    for (int i = thread; i < n; i += kShortlistThreads) {
      const float logit = logits[i];
      const std::uint32_t key = KeyOf(logit);
      finite = finite && IsFinite(logit);
      if ((key & known) == least.key) atomicAdd(&shared.bins[key >> shift & (kBins - 1)], 1);
    }
    finite = __all_sync(kAllLanes, finite) != 0;
    if (Lane() == 0) shared.finite[WarpOfBlock()] = finite;
    __syncthreads();
    SumChunks(shared);
    __syncthreads();
    if (WarpOfBlock() == 0) ChooseBin(least.count, shared);
    __syncthreads();
    least.key |= static_cast<std::uint32_t>(shared.bin) << shift;
    least.count -= shared.above;
    known |= static_cast<std::uint32_t>(kBins - 1) << shift;
  }
  return least;
}

// A warp's part of the row: [begin, end).
struct RowPart {
  int begin;
  int end;
};

__device__ __forceinline__ RowPart PartOfRow(int n) {
  const int size = ((n + kShortlistThreads - 1) / kShortlistThreads) * kWarp;
  const int begin = Smaller(WarpOfBlock() * size, n);
  return {begin, Smaller(begin + size, n)};
}

// Which lanes have a key above the least one, and which have that one, from logit `first` on.
struct Lanes {
  unsigned above;
  unsigned equal;
};

__device__ __forceinline__ Lanes Compare(const float* logits, int first, int end,
                                         std::uint32_t least) {
  const int i = first + Lane();
  const std::uint32_t key = i < end ? KeyOf(logits[i]) : 0;  // below that of -inf
  return {__ballot_sync(kAllLanes, key > least), __ballot_sync(kAllLanes, key == least)};
}

__device__ __forceinline__ void StoreTaken(const float* logits, int n, const LeastTaken& least,
                                           ShortlistEntry* best, ShortlistShared& shared) {
  const RowPart part = PartOfRow(n);
  PartCounts counts = {0, 0};
#pragma unroll 4
  for (int i = part.begin; i < part.end; i += kWarp) {
    const Lanes lanes = Compare(logits, i, part.end, least.key);
    counts.above += __popc(lanes.above);
    counts.equal += __popc(lanes.equal);
  }
  if (Lane() == 0) shared.parts[WarpOfBlock()] = counts;
  __syncthreads();
  PartCounts before = {0, 0};
  for (int warp = 0; warp < WarpOfBlock(); ++warp) {
    before.above += shared.parts[warp].above;
    before.equal += shared.parts[warp].equal;
  }
  const unsigned lower = (1u << Lane()) - 1;
  for (int i = part.begin; i < part.end; i += kWarp) {
    const Lanes lanes = Compare(logits, i, part.end, least.key);
    const int rank = before.equal + __popc(lanes.equal & lower);  // of those that equal the least
    const bool above = (lanes.above >> Lane() & 1) != 0;
    const bool equal = (lanes.equal >> Lane() & 1) != 0;
    if (above || (equal && rank < least.count)) {
      const int place = before.above + __popc(lanes.above & lower) + Smaller(rank, least.count);
      best[place].id = i + Lane();
      best[place].logit = Tamed(logits[i + Lane()]);
    }
    before.above += __popc(lanes.above);
    before.equal += __popc(lanes.equal);
  }
}

static __global__ void __launch_bounds__(kShortlistThreads)
    ShortlistKernel(ShortlistArgs args, std::int64_t first_row) {
  auto& shared = SharedStorage<ShortlistShared>();
  const std::int64_t row = first_row + blockIdx.x;
  const float* logits = args.logits + row * args.n;
  const auto n = static_cast<int>(args.n);
  const LeastTaken least = FindLeast(logits, n, static_cast<int>(args.count), shared);
  StoreTaken(logits, n, least, args.best + row * args.count, shared);
  if (threadIdx.x != 0) return;
  for (int warp = 0; warp < kShortlistWarps; ++warp) {
    if (!shared.finite[warp]) args.failed[row] = 1;
  }
}

// n < 2^31.
inline cudaError_t LaunchShortlist(const ShortlistArgs& args, Range rows,
                                   cudaStream_t stream = nullptr) {
  if (rows.begin == rows.end) return cudaSuccess;
  return Launch(ShortlistKernel,
                {.grid = static_cast<unsigned>(rows.end - rows.begin),
                 .block = kShortlistThreads,
                 .shared_bytes = sizeof(ShortlistShared),
                 .stream = stream},
                args, rows.begin);
}

}  // namespace fallow::cuda
