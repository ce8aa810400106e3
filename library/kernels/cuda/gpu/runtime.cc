// The CUDA run time of a GPU. Has not run on one.
#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "kernels/cuda/runtime.h"

namespace fallow::cuda {
namespace {

absl::Status StatusOf(cudaError_t error) {
  if (error == cudaSuccess) return absl::OkStatus();
  const std::string text = absl::StrCat("CUDA: ", std::string(cudaGetErrorName(error)), ": ",
                                        std::string(cudaGetErrorString(error)));
  return error == cudaErrorMemoryAllocation ? absl::ResourceExhaustedError(text)
                                            : absl::InternalError(text);
}

struct GpuGraph : Graph {
  cudaGraphExec_t graph = nullptr;

  ~GpuGraph() override { cudaGraphExecDestroy(graph); }
};

class GpuRuntime : public Runtime {
 public:
  static absl::StatusOr<std::unique_ptr<Runtime>> Open(int device) {
    auto runtime = std::unique_ptr<GpuRuntime>(new GpuRuntime(device));
    FALLOW_RETURN_IF_ERROR(StatusOf(cudaSetDevice(device)));
    cudaDeviceProp properties;
    FALLOW_RETURN_IF_ERROR(StatusOf(cudaGetDeviceProperties(&properties, device)));
    if (properties.major * 10 + properties.minor < 75) {
      return absl::FailedPreconditionError(
          absl::StrCat("CUDA: ", std::string(properties.name), " has compute capability ",
                       properties.major, ".", properties.minor, ", expected 7.5 or later"));
    }
    runtime->name_ = absl::StrCat("cuda:", device, " ", std::string(properties.name));
    runtime->multiprocessors_ = properties.multiProcessorCount;
    std::size_t free = 0, total = 0;
    FALLOW_RETURN_IF_ERROR(StatusOf(cudaMemGetInfo(&free, &total)));
    runtime->memory_bytes_ = static_cast<std::int64_t>(free);
    FALLOW_RETURN_IF_ERROR(
        StatusOf(cudaStreamCreateWithFlags(&runtime->stream_, cudaStreamNonBlocking)));
    return runtime;
  }

  ~GpuRuntime() override {
    cublas_.reset();
    if (stream_) cudaStreamDestroy(stream_);
  }

  std::string name() const override { return name_; }
  int multiprocessors() const override { return multiprocessors_; }
  std::int64_t memory_bytes() const override { return memory_bytes_; }
  const Launches& launches() const override { return kGpuLaunches; }
  void* stream() override {
    Select();
    return stream_;
  }

  std::uint8_t* Allocate(std::int64_t bytes) override {
    Select();
    void* memory = nullptr;
    if (cudaMalloc(&memory, static_cast<std::size_t>(bytes)) != cudaSuccess) {
      cudaGetLastError();  // not for good, and not to be reported again
      return nullptr;
    }
    Clear(static_cast<std::uint8_t*>(memory), bytes);
    return static_cast<std::uint8_t*>(memory);
  }
  void Free(std::uint8_t* memory) override {
    Select();
    Note(cudaFree(memory));
  }
  std::uint8_t* AllocatePinned(std::int64_t bytes) override {
    Select();
    void* memory = nullptr;
    if (cudaHostAlloc(&memory, static_cast<std::size_t>(bytes), cudaHostAllocDefault) !=
        cudaSuccess) {
      cudaGetLastError();
      return nullptr;
    }
    return static_cast<std::uint8_t*>(memory);
  }
  void FreePinned(std::uint8_t* memory) override { Note(cudaFreeHost(memory)); }

  void CopyToDevice(std::uint8_t* to, const std::uint8_t* pinned, std::int64_t bytes) override {
    Transfer(to, pinned, bytes, cudaMemcpyHostToDevice);
  }
  void CopyToHost(std::uint8_t* pinned, const std::uint8_t* from, std::int64_t bytes) override {
    Transfer(pinned, from, bytes, cudaMemcpyDeviceToHost);
  }
  void Copy(std::uint8_t* to, const std::uint8_t* from, std::int64_t bytes) override {
    Transfer(to, from, bytes, cudaMemcpyDeviceToDevice);
  }
  void Clear(std::uint8_t* at, std::int64_t bytes) override {
    Select();
    Note(cudaMemsetAsync(at, 0, static_cast<std::size_t>(bytes), stream_));
  }

  const Cublas* cublas() override {
    if (!std::exchange(cublas_sought_, true)) {
      Select();
      auto found = FindCublas();
      if (found.ok()) cublas_ = *std::move(found);
      if (!found.ok()) Log(LogLevel::kInfo, std::string(found.status().message()));
    }
    return cublas_.get();
  }

  void Note(int error) override { error_.Update(StatusOf(static_cast<cudaError_t>(error))); }

  absl::Status Synchronize() override {
    Select();
    Note(cudaStreamSynchronize(stream_));
    return error_;
  }

  void BeginRecording() override {
    Select();
    Note(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
  }

  std::unique_ptr<Graph> EndRecording() override {
    cudaGraph_t recorded = nullptr;
    Note(cudaStreamEndCapture(stream_, &recorded));
    auto graph = std::make_unique<GpuGraph>();
    if (recorded) {
      Note(cudaGraphInstantiate(&graph->graph, recorded, 0));
      Note(cudaGraphDestroy(recorded));
    }
    return graph->graph && error_.ok() ? std::move(graph) : nullptr;
  }

  void Replay(Graph& graph) override {
    Select();
    Note(cudaGraphLaunch(static_cast<GpuGraph&>(graph).graph, stream_));
  }

 private:
  explicit GpuRuntime(int device) : device_(device) {}

  // The device of calls by this thread of the host: another may have made the last.
  void Select() { Note(cudaSetDevice(device_)); }

  absl::StatusOr<std::unique_ptr<Cublas>> FindCublas() {
    const std::string libraries[] = {"libcublas.so.13", "libcublas.so.12"};
    FALLOW_ASSIGN_OR_RETURN(const CublasFunctions functions, LoadCublas(libraries));
    return Cublas::Start(functions, stream_);
  }

  void Transfer(void* to, const void* from, std::int64_t bytes, cudaMemcpyKind kind) {
    Select();
    Note(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), kind, stream_));
  }

  const int device_;
  std::string name_;
  int multiprocessors_ = 0;
  std::int64_t memory_bytes_ = 0;
  cudaStream_t stream_ = nullptr;
  bool cublas_sought_ = false;
  std::unique_ptr<Cublas> cublas_;
  absl::Status error_;
};

}  // namespace

absl::StatusOr<int> CountGpus() {
  int driver = 0, devices = 0;
  cudaDriverGetVersion(&driver);
  if (driver == 0) return absl::FailedPreconditionError("CUDA: no driver");
  const cudaError_t error = cudaGetDeviceCount(&devices);
  cudaGetLastError();
  if (error == cudaErrorInsufficientDriver) {
    return absl::FailedPreconditionError(absl::StrCat("CUDA: a driver of CUDA ", driver / 1000, ".",
                                                      driver % 1000 / 10, ", expected ",
                                                      CUDART_VERSION / 1000, ".0 or later"));
  }
  if (error == cudaSuccess && devices > 0) return devices;
  return absl::FailedPreconditionError(error == cudaSuccess ? "CUDA: no device"
                                                            : StatusOf(error).message());
}

absl::StatusOr<std::unique_ptr<Runtime>> OpenGpu(int number) {
  FALLOW_ASSIGN_OR_RETURN(const int devices, CountGpus());
  if (number >= devices) {
    return absl::FailedPreconditionError(
        absl::StrCat("CUDA: device ", number, ", this machine has ", devices));
  }
  return GpuRuntime::Open(number);
}

}  // namespace fallow::cuda
