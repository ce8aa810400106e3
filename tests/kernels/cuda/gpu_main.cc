// The tests of the CUDA kernels on a GPU, with nvcc's PTX of them: FALLOW_CUDA_PTX names the file.
// What the emulator would grant a launch is the device's too, at the host's addresses.
#include "kernels/cuda/emulator/device.h"
#include "kernels/cuda/emulator/memory.h"
#include "kernels/cuda/emulator/options.h"
#include "tests/kernels/cuda/gpu_program.h"
#include "tests/kernels/cuda/session.h"
#include "tests/ptx/symbols.h"

namespace fallow::test {
namespace {

GpuProgram* program = nullptr;

absl::Status Run(const cuda::LaunchShape& shape, const cuda::emulator::Call& call) {
  const auto name = ptx::NameOfFunction(call.function);
  if (!name.ok()) return name.status();
  std::vector<Bytes> memory;
  for (const auto& region : cuda::emulator::GrantedRegions()) {
    const auto begin = reinterpret_cast<std::uint64_t>(region.begin);
    memory.push_back({begin, begin + region.bytes});
  }
  const auto extent = [](const dim3& d) { return GpuProgram::Extent{d.x, d.y, d.z}; };
  return program->Run(*name, {extent(shape.grid), extent(shape.block), shape.shared_bytes},
                      call.arguments, memory);
}

bool RunOnGpu(const cuda::LaunchShape& shape, const cuda::emulator::Call& call) {
  const absl::Status ran = Run(shape, call);
  if (!ran.ok()) cuda::emulator::ReportAt("GPU", "kernel", std::string(ran.message()));
  return ran.ok();
}

int Main(int argc, char** argv) {
  const char* path = std::getenv("FALLOW_CUDA_PTX");
  if (path == nullptr) {
    std::fprintf(stderr, "FALLOW_CUDA_PTX names no file of PTX\n");
    return 2;
  }
  const auto loaded = GpuProgram::Load(path);
  if (!loaded.ok()) {
    std::fprintf(stderr, "%s\n", loaded.status().ToString().c_str());
    return 2;
  }
  program = loaded->get();
  cuda::emulator::SetOptions(
      {.compute_capability = CapabilityOfPtx(path), .run_instead = RunOnGpu});
  return RunSession(argc, argv);
}

}  // namespace
}  // namespace fallow::test

int main(int argc, char** argv) { return fallow::test::Main(argc, argv); }
