// Which device computes: the option `device`.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/worker_pool.h"
#include "kernels/backend.h"

namespace fallow {

// auto (a GPU where this build and machine have one, else the CPU), cpu, cuda, or cuda-emulated:
// the CUDA kernels in an emulator, slowly. `pool` must outlive it, and `cpu` has the host's
// kernels. InvalidArgument for another name, FailedPrecondition or Unimplemented if there is no
// such device.
absl::StatusOr<std::unique_ptr<Backend>> MakeBackend(const std::string& device,
                                                     const KernelTable& cpu, WorkerPool& pool);

}  // namespace fallow
