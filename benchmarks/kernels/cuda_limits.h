// What a GPU reaches when nothing is in its way: kernels that do one thing alone.
#pragma once

#include <cstdint>

namespace fallow {

// Each enqueues on a stream (a cudaStream_t) and returns a cudaError_t. `blocks` of 256 threads;
// the sink has a number for each thread, written so that the work is not left out.
struct CudaLimits {
  // Reads [memory, memory + bytes), whole 16 bytes.
  int (*read)(const std::uint8_t* memory, std::int64_t bytes, unsigned* sink, int blocks,
              void* stream);
  // kChains mma.m16n8k16 of bf16, or m16n8k32 of int8, a warp and turn, out of registers.
  int (*bf16)(int turns, unsigned* sink, int blocks, void* stream);
  int (*int8)(int turns, unsigned* sink, int blocks, void* stream);
};

inline constexpr int kLimitThreads = 256;
inline constexpr int kChains = 8;  // mma of a warp that do not wait for each other

extern const CudaLimits kGpuLimits;
extern const CudaLimits kEmulatedLimits;

}  // namespace fallow
