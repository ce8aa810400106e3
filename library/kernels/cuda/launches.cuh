// The launches of all kernels, as whoever includes this compiles them.
#pragma once

#include "kernels/attention/append.cuh"
#include "kernels/attention/kernel.cuh"
#include "kernels/cuda/launches.h"
#include "kernels/glu/kernel.cuh"
#include "kernels/matmul/kernel.cuh"
#include "kernels/norm/kernel.cuh"
#include "kernels/quantize/kernel.cuh"
#include "kernels/rope/kernel.cuh"
#include "kernels/shortlist/kernel.cuh"

namespace fallow::cuda {

// Internal to the source that includes this, as its kernels are.
static constexpr Launches kLaunches = {
    .activations = [](const ActivationsArgs& args, void* stream) -> int {
      return LaunchActivations(args, {0, args.rows}, static_cast<cudaStream_t>(stream));
    },
    .round = [](const RoundArgs& args, void* stream) -> int {
      return LaunchRound(args, {0, args.rows}, static_cast<cudaStream_t>(stream));
    },
    .embed = [](const EmbedArgs& args, void* stream) -> int {
      return LaunchEmbed(args, {0, args.rows}, static_cast<cudaStream_t>(stream));
    },
    .matmul = [](const MatmulArgs& args, void* stream) -> int {
      return LaunchMatmul(args, {0, args.weight.count()}, static_cast<cudaStream_t>(stream));
    },
    .norm = [](const NormArgs& args, void* stream) -> int {
      return LaunchNorm(args, {0, args.rows}, static_cast<cudaStream_t>(stream));
    },
    .rope = [](const RopeArgs& args, void* stream) -> int {
      return LaunchRope(args, {0, args.rows}, static_cast<cudaStream_t>(stream));
    },
    .append = [](const AppendArgs& args, const DeviceRows& rows, void* stream) -> int {
      return LaunchAppend(args, rows.rows, rows.count, static_cast<cudaStream_t>(stream));
    },
    .attention = [](const AttentionArgs& args, const DeviceRows& rows, void* stream) -> int {
      return LaunchAttention(args, rows, {0, args.kv.layout.kv_heads},
                             static_cast<cudaStream_t>(stream));
    },
    .glu = [](const GluArgs& args, void* stream) -> int {
      return LaunchGlu(args, {0, args.rows}, static_cast<cudaStream_t>(stream));
    },
    .shortlist = [](const ShortlistArgs& args, void* stream) -> int {
      return LaunchShortlist(args, {0, args.rows}, static_cast<cudaStream_t>(stream));
    },
};

}  // namespace fallow::cuda
