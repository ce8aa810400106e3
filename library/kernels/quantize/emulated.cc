// The CUDA kernels of this folder in the emulator.
#include "kernels/cuda/emulated.h"
#include "kernels/quantize/kernel.cuh"

namespace fallow::emulated {

void ToActivations(const ActivationsArgs& args, Range rows) {
  const auto x = cuda::emulator::Memory::Read(
      args.x, args.rows > 0 ? (args.rows - 1) * args.stride + args.n : 0);
  const ActivationsMemory out(args.out);
  cuda::emulator::CheckLaunch(cuda::LaunchActivations(args, rows));
}

void Round(const RoundArgs& args, Range rows) {
  const auto x = cuda::emulator::Memory::ReadWrite(args.x, args.rows * args.n);
  const auto failed = cuda::emulator::Memory::Write(args.failed, args.rows);
  cuda::emulator::CheckLaunch(cuda::LaunchRound(args, rows));
}

}  // namespace fallow::emulated
