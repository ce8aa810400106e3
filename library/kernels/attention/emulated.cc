// The CUDA kernels of this folder in the emulator. emulated_pass.cc grants them their memory.
#include "kernels/cuda/emulated.h"
#include "kernels/attention/append.cuh"
#include "kernels/attention/kernel.cuh"

namespace fallow::emulated {

void AppendRows(const AppendArgs& args, const PassRow* rows, std::int64_t count) {
  cuda::emulator::CheckLaunch(cuda::LaunchAppend(args, rows, count));
}

void AttendRows(const AttentionArgs& args, const DeviceRows& rows, Range kv_heads) {
  cuda::emulator::CheckLaunch(cuda::LaunchAttention(args, rows, kv_heads));
}

}  // namespace fallow::emulated
