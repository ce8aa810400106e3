// Which devices compute: the option `device`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/worker_pool.h"
#include "kernels/backend.h"
#include "kernels/cuda/runtime.h"

namespace fallow {

// The devices that `names` says, to be filled in order; never none. A comma lies between names:
//   auto           all GPUs of this build and machine, then the CPU
//   cpu            with the kernels of `cpu`
//   cuda, cuda:1   the first GPU, the second
//   cuda-emulated  the CUDA kernels in an emulator, slowly
// `pool` must outlive them. InvalidArgument for another name, FailedPrecondition or Unimplemented
// if there is no such device. Of GPUs that auto leaves out a line of the log says why.
absl::StatusOr<std::vector<std::unique_ptr<Backend>>> MakeBackends(const std::string& names,
                                                                   const KernelTable& cpu,
                                                                   WorkerPool& pool,
                                                                   const cuda::Gpus& gpus = {});

}  // namespace fallow
