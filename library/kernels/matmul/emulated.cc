// The CUDA kernels of this folder in the emulator.
#include "kernels/cuda/emulated.h"
#include "kernels/matmul/kernel.cuh"

namespace fallow::emulated {

void Matmul(const MatmulArgs& args, Range panels) {
  using cuda::emulator::Memory;
  const std::int64_t groups = args.x.rows * args.x.k / kGroup;
  const std::int64_t count =
      args.x.rows > 0 ? (args.x.rows - 1) * args.stride + args.weight.rows : 0;
  const auto weight = Memory::Read(args.weight.data, args.weight.bytes());
  const auto values = Memory::Read(args.x.values, args.x.rows * args.x.k);
  const auto bf16 = Memory::Read(args.x.bf16, args.x.rows * args.x.k);
  const auto codes = Memory::Read(args.x.codes, args.x.rows * args.x.k);
  const auto scale = Memory::Read(args.x.scale, groups);
  const auto sum = Memory::Read(args.x.sum, groups);
  const auto scaled_sum = Memory::Read(args.x.scaled_sum, groups);
  const auto bias = Memory::Read(args.bias, args.weight.rows);
  const auto y = args.add ? Memory::ReadWrite(args.y, count) : Memory::Write(args.y, count);
  cuda::emulator::CheckLaunch(cuda::LaunchMatmul(args, panels));
}

void Embed(const EmbedArgs& args, Range rows) {
  using cuda::emulator::Memory;
  const auto table = Memory::Read(args.table.data, args.table.bytes());
  const auto ids = Memory::Read(args.ids, args.rows);
  const auto out = Memory::Write(args.out, args.rows * args.table.cols);
  cuda::emulator::CheckLaunch(cuda::LaunchEmbed(args, rows));
}

}  // namespace fallow::emulated
