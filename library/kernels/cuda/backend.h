// The CUDA back end, on whatever run time it is given.
#pragma once

#include <memory>

#include "base/worker_pool.h"
#include "kernels/backend.h"
#include "kernels/cuda/runtime.h"

namespace fallow {

// `pool`, which must outlive it, packs weights.
std::unique_ptr<Backend> MakeCudaBackend(std::unique_ptr<cuda::Runtime> runtime, WorkerPool& pool);

}  // namespace fallow
