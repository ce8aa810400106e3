// The tests of the CUDA kernels on the PTX that nvcc makes of them, interpreted: FALLOW_CUDA_PTX
// names the file. At the end it prints how often each instruction ran.

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "kernels/cuda/emulator/device.h"
#include "kernels/cuda/emulator/memory.h"
#include "kernels/cuda/emulator/options.h"
#include "tests/kernels/cuda/session.h"
#include "tests/ptx/interpreter.h"

namespace fallow::test {
namespace {

absl::Mutex mutex;
ptx::Module* module ABSL_GUARDED_BY(mutex) = nullptr;

// The module may touch what is granted to this thread's launches, while this lives.
class Granted {
 public:
  explicit Granted(ptx::GlobalMemory& memory) : memory_(memory) {
    for (const auto& region : cuda::emulator::GrantedRegions()) Add(region);
  }
  ~Granted() {
    for (const void* begin : added_) memory_.Remove(begin);
  }
  Granted(const Granted&) = delete;
  Granted& operator=(const Granted&) = delete;

 private:
  void Add(const cuda::emulator::Region& region) {
    using enum ptx::Access;
    const auto address = reinterpret_cast<std::uint64_t>(region.begin);
    const auto bytes = static_cast<std::int64_t>(region.bytes);
    if (memory_.Fault(address, bytes, kRead).empty()) return;  // a part of what may be written
    auto* const begin = const_cast<std::uint8_t*>(region.begin);
    if (region.access == cuda::emulator::Access::kReadWrite) {
      memory_.Add(begin, bytes);
    } else {
      memory_.AddReadOnly(begin, bytes);
    }
    added_.push_back(begin);
  }

  ptx::GlobalMemory& memory_;
  std::vector<const void*> added_;
};

ptx::Extent ExtentOf(const dim3& d) { return {d.x, d.y, d.z}; }

bool RunPtx(const cuda::LaunchShape& shape, const cuda::emulator::Call& call) {
  const absl::MutexLock lock(&mutex);
  const Granted granted(module->memory());
  const ptx::LaunchOptions options{
      .grid = ExtentOf(shape.grid),
      .block = ExtentOf(shape.block),
      .dynamic_shared_bytes = static_cast<std::int64_t>(shape.shared_bytes),
      .seed = SeedOfSession(),
      .copies_land_late = SeedOfSession() % 2 == 0};
  const absl::Status ran = module->LaunchFunction(call.function, options, call.arguments);
  if (!ran.ok()) {
    cuda::emulator::ReportAt("PTX", "kernel", std::string(ran.message()));
  }
  return ran.ok();
}

int Main(int argc, char** argv) {
  const char* path = std::getenv("FALLOW_CUDA_PTX");
  if (path == nullptr) {
    std::fprintf(stderr, "FALLOW_CUDA_PTX names no file of PTX\n");
    return 2;
  }
  auto loaded = ptx::Module::LoadFile(path);
  if (!loaded.ok()) {
    std::fprintf(stderr, "%s: %s\n", path, loaded.status().ToString().c_str());
    return 2;
  }
  {
    const absl::MutexLock lock(&mutex);
    module = &*loaded;
  }
  cuda::emulator::SetOptions({.compute_capability = CapabilityOfPtx(path), .run_instead = RunPtx});
  const int result = RunSession(argc, argv);
  std::printf("%s", loaded->Report().c_str());
  return result;
}

}  // namespace
}  // namespace fallow::test

int main(int argc, char** argv) { return fallow::test::Main(argc, argv); }
