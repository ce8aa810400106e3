#include "server/device.h"

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "kernels/cuda/backend.h"

namespace fallow {

absl::StatusOr<std::unique_ptr<Backend>> MakeBackend(const std::string& device,
                                                     const KernelTable& cpu, WorkerPool& pool) {
  if (device == "cpu") return MakeHostBackend(cpu, pool);
  if (device == "cuda-emulated") return MakeCudaBackend(cuda::MakeEmulatedRuntime(), pool);
  if (device != "auto" && device != "cuda") {
    return absl::InvalidArgumentError(
        absl::StrCat("device = ", device, ", expected auto, cpu, cuda or cuda-emulated"));
  }
  auto gpu = cuda::OpenGpu();
  if (gpu.ok()) return MakeCudaBackend(*std::move(gpu), pool);
  if (device == "cuda") return gpu.status();
  auto host = MakeHostBackend(cpu, pool);
  if (absl::IsUnimplemented(gpu.status())) return host;
  Log(LogLevel::kInfo, absl::StrCat("device: ", host->name(),
                                    ", for no GPU: ", std::string(gpu.status().message())));
  return host;
}

}  // namespace fallow
