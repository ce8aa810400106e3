// The CUDA kernel of this folder in the emulator.
#include "kernels/cuda/emulated.h"
#include "kernels/norm/kernel.cuh"

namespace fallow::emulated {

void Norm(const NormArgs& args, Range rows) {
  using cuda::emulator::Memory;
  const std::int64_t count = args.rows * args.n;
  const auto x = Memory::Read(args.x, count);
  const auto weight = Memory::Read(args.weight, args.n);
  const auto bias = Memory::Read(args.bias, args.n);
  const auto values = args.values == args.x ? Memory::ReadWrite(args.values, count)
                                            : Memory::Write(args.values, count);
  const ActivationsMemory out(args.values ? Activations{} : args.out);
  cuda::emulator::CheckLaunch(cuda::LaunchNorm(args, rows));
}

}  // namespace fallow::emulated
