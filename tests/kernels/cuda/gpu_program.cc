#include "tests/kernels/cuda/gpu_program.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "tests/ptx/symbols.h"

namespace fallow::test {
namespace {

absl::Status StatusOf(const char* what, cudaError_t error) {
  if (error == cudaSuccess) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(what, ": ", std::string(cudaGetErrorName(error)), ": ",
                                          std::string(cudaGetErrorString(error))));
}

absl::Status CheckDevice() {
  int devices = 0;
  const absl::Status counted = StatusOf("cudaGetDeviceCount", cudaGetDeviceCount(&devices));
  if (!counted.ok()) return absl::FailedPreconditionError(counted.message());
  int can = 0;
  FALLOW_RETURN_IF_ERROR(
      StatusOf("cudaDeviceGetAttribute",
               cudaDeviceGetAttribute(&can, cudaDevAttrCanUseHostPointerForRegisteredMem, 0)));
  if (can) return absl::OkStatus();
  return absl::FailedPreconditionError("the GPU has other addresses for the host's memory");
}

// Of the host's memory, to the device, while this lives.
class Registered {
 public:
  explicit Registered(std::vector<Bytes> ranges) : ranges_(std::move(ranges)) {}
  ~Registered() {
    for (std::size_t i = 0; i < registered_; ++i) cudaHostUnregister(BeginOf(ranges_[i]));
  }
  Registered(const Registered&) = delete;
  Registered& operator=(const Registered&) = delete;

  absl::Status Register() {
    for (const Bytes& range : ranges_) {
      FALLOW_RETURN_IF_ERROR(StatusOf(
          "cudaHostRegister",
          cudaHostRegister(BeginOf(range), range.end - range.begin, cudaHostRegisterMapped)));
      ++registered_;
    }
    return absl::OkStatus();
  }

 private:
  static void* BeginOf(const Bytes& range) { return reinterpret_cast<void*>(range.begin); }

  const std::vector<Bytes> ranges_;
  std::size_t registered_ = 0;
};

}  // namespace

std::vector<Bytes> PagesOf(std::vector<Bytes> memory) {
  constexpr std::uint64_t kPage = 4096;
  for (Bytes& range : memory) {
    range = {range.begin / kPage * kPage, (range.end + kPage - 1) / kPage * kPage};
  }
  std::sort(memory.begin(), memory.end(),
            [](const Bytes& a, const Bytes& b) { return a.begin < b.begin; });
  std::vector<Bytes> pages;
  for (const Bytes& range : memory) {
    if (!pages.empty() && range.begin <= pages.back().end) {
      pages.back().end = std::max(pages.back().end, range.end);
    } else {
      pages.push_back(range);
    }
  }
  return pages;
}

struct GpuProgram::Loaded {
  cudaLibrary_t library = nullptr;
  std::map<std::string, cudaKernel_t> kernels;  // by demangled name

  ~Loaded() {
    if (library) cudaLibraryUnload(library);
  }
};

absl::StatusOr<std::unique_ptr<GpuProgram>> GpuProgram::Load(const std::string& path) {
  FALLOW_RETURN_IF_ERROR(CheckDevice());
  auto program = std::unique_ptr<GpuProgram>(new GpuProgram());
  program->loaded_ = std::make_unique<Loaded>();
  Loaded& loaded = *program->loaded_;
  FALLOW_RETURN_IF_ERROR(
      StatusOf(path.c_str(), cudaLibraryLoadFromFile(&loaded.library, path.c_str(), nullptr,
                                                     nullptr, 0, nullptr, nullptr, 0)));
  unsigned count = 0;
  FALLOW_RETURN_IF_ERROR(
      StatusOf("cudaLibraryGetKernelCount", cudaLibraryGetKernelCount(&count, loaded.library)));
  std::vector<cudaKernel_t> kernels(count);
  FALLOW_RETURN_IF_ERROR(
      StatusOf("cudaLibraryEnumerateKernels",
               cudaLibraryEnumerateKernels(kernels.data(), count, loaded.library)));
  for (const cudaKernel_t kernel : kernels) {
    const char* name = nullptr;
    FALLOW_RETURN_IF_ERROR(
        StatusOf("cudaFuncGetName", cudaFuncGetName(&name, reinterpret_cast<const void*>(kernel))));
    loaded.kernels[ptx::Demangled(name)] = kernel;
  }
  return program;
}

GpuProgram::~GpuProgram() = default;

absl::Status GpuProgram::Run(const std::string& kernel, const Shape& shape,
                             const void* const* arguments, const std::vector<Bytes>& memory) {
  const auto found = loaded_->kernels.find(kernel);
  if (found == loaded_->kernels.end()) {
    return absl::NotFoundError(absl::StrCat(kernel, " is not in the PTX"));
  }
  const auto* function = reinterpret_cast<const void*>(found->second);
  Registered registered(PagesOf(memory));
  FALLOW_RETURN_IF_ERROR(registered.Register());
  FALLOW_RETURN_IF_ERROR(
      StatusOf("cudaFuncSetAttribute",
               cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(shape.shared_bytes))));
  const auto dimensions = [](const Extent& e) { return dim3(e.x, e.y, e.z); };
  FALLOW_RETURN_IF_ERROR(
      StatusOf(kernel.c_str(),
               cudaLaunchKernel(function, dimensions(shape.grid), dimensions(shape.block),
                                const_cast<void**>(arguments), shape.shared_bytes, nullptr)));
  return StatusOf(kernel.c_str(), cudaDeviceSynchronize());
}

}  // namespace fallow::test
