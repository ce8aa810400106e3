// The CUDA kernel of this folder in the emulator.
#include "kernels/cuda/emulated.h"
#include "kernels/shortlist/kernel.cuh"

namespace fallow::emulated {

void FindShortlist(const ShortlistArgs& args, Range rows) {
  using cuda::emulator::Memory;
  const auto logits = Memory::Read(args.logits, args.rows * args.n);
  const auto best = Memory::ReadWrite(args.best, args.rows * args.count);
  const auto failed = Memory::ReadWrite(args.failed, args.rows);
  cuda::emulator::CheckLaunch(cuda::LaunchShortlist(args, rows));
}

}  // namespace fallow::emulated
