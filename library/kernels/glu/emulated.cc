// The CUDA kernel of this folder in the emulator.
#include "kernels/cuda/emulated.h"
#include "kernels/glu/kernel.cuh"

namespace fallow::emulated {

void Glu(const GluArgs& args, Range rows) {
  using cuda::emulator::Memory;
  const std::int64_t count = args.rows > 0 ? (args.rows - 1) * args.stride + args.n : 0;
  const auto gate = Memory::Read(args.gate, count);
  const auto up = Memory::Read(args.up, count);
  const ActivationsMemory out(args.out);
  cuda::emulator::CheckLaunch(cuda::LaunchGlu(args, rows));
}

}  // namespace fallow::emulated
