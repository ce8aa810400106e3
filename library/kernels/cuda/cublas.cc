#include "kernels/cuda/cublas.h"

#include <dlfcn.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "kernels/matmul/panel_layout.h"

namespace fallow::cuda {
namespace {

// cuBLAS's names for these are in the comments.
constexpr int kAllocFailed = 3;    // CUBLAS_STATUS_ALLOC_FAILED
constexpr int kNotTransposed = 0;  // CUBLAS_OP_N
constexpr int kFloat = 0;          // CUDA_R_32F
constexpr int kComputeFloat = 68;  // CUBLAS_COMPUTE_32F
constexpr int kAnyAlgorithm = -1;  // CUBLAS_GEMM_DEFAULT

absl::Status StatusOf(int status) {
  if (status == 0) return absl::OkStatus();
  const std::string text = absl::StrCat("cuBLAS: status ", status);
  return status == kAllocFailed ? absl::ResourceExhaustedError(text) : absl::InternalError(text);
}

template <class Function>
absl::Status Find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function != nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("cuBLAS: the library has no ", name));
}

}  // namespace

absl::StatusOr<CublasFunctions> LoadCublas(std::span<const std::string> libraries) {
  for (const std::string& name : libraries) {
    void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);  // for good
    if (library == nullptr) continue;
    CublasFunctions functions;
    FALLOW_RETURN_IF_ERROR(Find(library, "cublasCreate_v2", functions.create));
    FALLOW_RETURN_IF_ERROR(Find(library, "cublasDestroy_v2", functions.destroy));
    FALLOW_RETURN_IF_ERROR(Find(library, "cublasSetStream_v2", functions.set_stream));
    FALLOW_RETURN_IF_ERROR(Find(library, "cublasGemmStridedBatchedEx", functions.gemm));
    return functions;
  }
  return absl::NotFoundError(absl::StrCat("cuBLAS: no ", absl::StrJoin(libraries, " or ")));
}

absl::StatusOr<std::unique_ptr<Cublas>> Cublas::Start(const CublasFunctions& functions,
                                                      void* stream) {
  void* handle = nullptr;
  FALLOW_RETURN_IF_ERROR(StatusOf(functions.create(&handle)));
  auto cublas = std::unique_ptr<Cublas>(new Cublas(functions, handle));
  FALLOW_RETURN_IF_ERROR(StatusOf(functions.set_stream(handle, stream)));
  return cublas;
}

Cublas::~Cublas() { functions_.destroy(handle_); }

bool Cublas::Takes(const MatmulArgs& args) {
  return args.weight.type == WeightType::kFp32 && args.bias == nullptr;
}

// cuBLAS's matrices go down their columns: a panel is one of 16 rows and k columns, x of k and m, y
// of n and m. So each panel gives 16 rows of y, the last perhaps fewer.
absl::Status Cublas::Multiply(const MatmulArgs& args) const {
  const float alpha = 1;
  const float beta = args.add ? 1 : 0;
  const auto k = static_cast<int>(args.x.k);
  const std::int64_t panel_floats = PanelBytes(WeightType::kFp32, args.weight.cols) / 4;
  const auto multiply = [&](std::int64_t panel, int rows, std::int64_t panels) {
    const float* weight = reinterpret_cast<const float*>(args.weight.data) + panel * panel_floats;
    return StatusOf(functions_.gemm(
        handle_, kNotTransposed, kNotTransposed, rows, static_cast<int>(args.x.rows), k, &alpha,
        weight, kFloat, kPanelRows, panel_floats, args.x.values, kFloat, k, 0, &beta,
        args.y + panel * kPanelRows, kFloat, static_cast<int>(args.stride), kPanelRows,
        static_cast<int>(panels), kComputeFloat, kAnyAlgorithm));
  };
  const std::int64_t whole = args.weight.rows / kPanelRows;
  const auto rest = static_cast<int>(args.weight.rows % kPanelRows);
  if (whole > 0) FALLOW_RETURN_IF_ERROR(multiply(0, kPanelRows, whole));
  return rest > 0 ? multiply(whole, rest, 1) : absl::OkStatus();
}

}  // namespace fallow::cuda
