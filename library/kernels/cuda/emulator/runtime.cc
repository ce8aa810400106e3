// A stand-in for the CUDA run time, whose device is the emulator.
#include "kernels/cuda/runtime.h"

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/platform/memory.h"
#include "kernels/cuda/emulator/allocations.h"
#include "kernels/cuda/emulator/memory.h"
#include "kernels/cuda/emulator/stream.h"

namespace fallow::cuda {
namespace emulator {
namespace {

constexpr int kMultiprocessors = 8;

// From a source to a place; without a source zeros.
struct Transfer {
  std::uint8_t* to;
  const std::uint8_t* from;
  std::int64_t bytes;

  static cudaError_t Run(const void* closure) {
    const auto& transfer = *static_cast<const Transfer*>(closure);
    if (transfer.from) {
      std::memmove(transfer.to, transfer.from, transfer.bytes);
    } else {
      std::memset(transfer.to, 0, transfer.bytes);
    }
    return cudaSuccess;
  }
};

struct EmulatedGraph : Graph {
  std::vector<Operation> operations;
  std::vector<std::uint64_t> names;  // allocations
};

class EmulatedRuntime : public Runtime {
 public:
  explicit EmulatedRuntime(const CublasFunctions* cublas) {
    if (cublas) cublas_ = Cublas::Start(*cublas, &stream_).value();
  }

  std::string name() const override { return "cuda-emulated"; }
  int multiprocessors() const override { return kMultiprocessors; }
  std::int64_t memory_bytes() const override { return UsableMemory(); }
  const Launches& launches() const override { return kEmulatedLaunches; }
  void* stream() override { return &stream_; }

  std::uint8_t* Allocate(std::int64_t bytes) override {
    std::uint8_t* memory = Reserve(device_, bytes);
    if (memory) AllowAccess(memory, bytes, false);
    return memory;
  }
  void Free(std::uint8_t* memory) override { Release(device_, memory); }
  std::uint8_t* AllocatePinned(std::int64_t bytes) override { return Reserve(pinned_, bytes); }
  void FreePinned(std::uint8_t* memory) override { Release(pinned_, memory); }

  void CopyToDevice(std::uint8_t* to, const std::uint8_t* pinned, std::int64_t bytes) override {
    if (!pinned_.Contain(pinned, bytes)) return Refuse("a copy from memory that is not pinned");
    Enqueue({to, pinned, bytes});
  }
  void CopyToHost(std::uint8_t* pinned, const std::uint8_t* from, std::int64_t bytes) override {
    if (!pinned_.Contain(pinned, bytes)) return Refuse("a copy to memory that is not pinned");
    Enqueue({pinned, from, bytes});
  }
  void Copy(std::uint8_t* to, const std::uint8_t* from, std::int64_t bytes) override {
    Enqueue({to, from, bytes});
  }
  void Clear(std::uint8_t* at, std::int64_t bytes) override { Enqueue({at, nullptr, bytes}); }

  const Cublas* cublas() override { return cublas_.get(); }
  void Note(int error) override {
    if (error != cudaSuccess) Refuse(absl::StrCat("a launch, with error ", error));
  }

  absl::Status Synchronize() override {
    if (recording_) Refuse("to wait while recording");
    if (!error_.ok()) return error_;
    std::vector<std::unique_ptr<Memory>> granted;
    for (const auto& [begin, allocation] : device_.all()) {
      auto* memory = const_cast<std::uint8_t*>(begin);
      AllowAccess(memory, allocation.bytes, true);
      granted.emplace_back(new Memory(Memory::ReadWrite(memory, allocation.bytes)));
    }
    for (const Operation& operation : stream_.Take()) {
      if (operation.run(operation.closure.data()) == cudaSuccess) continue;
      error_ = absl::InternalError("cuda-emulated: a kernel failed");
      break;
    }
    for (const auto& [begin, allocation] : device_.all()) {
      AllowAccess(const_cast<std::uint8_t*>(begin), allocation.bytes, false);
    }
    return error_;
  }

  void BeginRecording() override {
    if (recording_) return Refuse("to record while recording");
    before_ = stream_.Take();
    recording_ = true;
  }

  std::unique_ptr<Graph> EndRecording() override {
    auto graph = std::make_unique<EmulatedGraph>();
    graph->operations = stream_.Take();
    for (Operation& operation : before_) stream_.Add(std::move(operation));
    before_.clear();
    recording_ = false;
    if (!error_.ok()) return nullptr;
    for (const Operation& operation : graph->operations) {
      const auto names = device_.NamedBy(operation.closure);
      graph->names.insert(graph->names.end(), names.begin(), names.end());
    }
    return graph;
  }

  void Replay(Graph& recorded) override {
    const auto& graph = static_cast<const EmulatedGraph&>(recorded);
    if (!device_.HaveAll(graph.names)) return Refuse("a graph that names memory freed since");
    for (const Operation& operation : graph.operations) stream_.Add(operation);
  }

 private:
  std::uint8_t* Reserve(Allocations& allocations, std::int64_t bytes) {
    if (recording_) Refuse("to allocate while recording");
    if (recording_) return nullptr;
    std::uint8_t* memory = ReserveMemory(bytes);
    if (memory) allocations.Add(memory, bytes);
    return memory;
  }

  void Release(Allocations& allocations, std::uint8_t* memory) {
    Synchronize().IgnoreError();
    ReleaseMemory(memory, allocations.Remove(memory).bytes);
  }

  void Enqueue(const Transfer& transfer) {
    emulator::Enqueue(&stream_, &transfer, sizeof transfer, Transfer::Run);
  }

  void Refuse(const std::string& what) {
    error_.Update(absl::InternalError(absl::StrCat("cuda-emulated: refused ", what)));
  }

  Allocations device_;
  Allocations pinned_;
  Stream stream_;
  std::unique_ptr<Cublas> cublas_;
  bool recording_ = false;
  std::vector<Operation> before_;  // what the stream held when the recording began
  absl::Status error_;
};

}  // namespace

cudaError_t Enqueue(cudaStream_t stream, const void* closure, std::size_t bytes,
                    cudaError_t (*run)(const void* closure)) {
  Operation operation{run, std::vector<std::uint64_t>((bytes + 7) / 8)};
  std::memcpy(operation.closure.data(), closure, bytes);
  static_cast<Stream*>(stream)->Add(std::move(operation));
  return cudaSuccess;
}

}  // namespace emulator

std::unique_ptr<Runtime> MakeEmulatedRuntime(const CublasFunctions* cublas) {
  return std::make_unique<emulator::EmulatedRuntime>(cublas);
}

}  // namespace fallow::cuda
