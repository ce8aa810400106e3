// The CUDA kernel of this folder in the emulator.
#include "kernels/cuda/emulated.h"
#include "kernels/rope/kernel.cuh"

namespace fallow::emulated {

void Rope(const RopeArgs& args, Range rows) {
  using cuda::emulator::Memory;
  std::int64_t positions = 0;
  for (std::int64_t row = 0; row < args.rows; ++row) {
    if (args.position[row] >= positions) positions = args.position[row] + 1;
  }
  const std::int64_t angles = positions * (args.dims / 2);
  const auto x = Memory::ReadWrite(
      args.x, args.rows > 0 ? (args.rows - 1) * args.stride + args.heads * args.head_dim : 0);
  const auto position = Memory::Read(args.position, args.rows);
  const auto cosine = Memory::Read(args.cosine, angles);
  const auto sine = Memory::Read(args.sine, angles);
  cuda::emulator::CheckLaunch(cuda::LaunchRope(args, rows));
}

}  // namespace fallow::emulated
