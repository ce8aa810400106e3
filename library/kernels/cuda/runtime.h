// What the CUDA back end asks of the CUDA run time, for one device and one stream. The words are
// CUDA's: see its programming guide.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/cuda/cublas.h"
#include "kernels/cuda/launches.h"

namespace fallow::cuda {

// What a stream was given while it was recorded.
class Graph {
 public:
  virtual ~Graph() = default;
};

// Errors of what is enqueued are kept, the first of them until the end: an error of a device is for
// good. Not thread-safe.
class Runtime {
 public:
  virtual ~Runtime() = default;

  virtual std::string name() const = 0;  // "cuda-emulated"
  virtual int multiprocessors() const = 0;
  virtual std::int64_t memory_bytes() const = 0;
  virtual const Launches& launches() const = 0;
  virtual void* stream() = 0;

  // Memory of the device, zeroed; pages of the host that the device reads and writes itself. Null
  // if there are none left. May wait for the stream.
  virtual std::uint8_t* Allocate(std::int64_t bytes) = 0;
  virtual void Free(std::uint8_t* memory) = 0;
  virtual std::uint8_t* AllocatePinned(std::int64_t bytes) = 0;
  virtual void FreePinned(std::uint8_t* memory) = 0;

  // Enqueued. `pinned` lies in memory of AllocatePinned, all else in that of Allocate.
  virtual void CopyToDevice(std::uint8_t* to, const std::uint8_t* pinned, std::int64_t bytes) = 0;
  virtual void CopyToHost(std::uint8_t* pinned, const std::uint8_t* from, std::int64_t bytes) = 0;
  virtual void Copy(std::uint8_t* to, const std::uint8_t* from, std::int64_t bytes) = 0;
  virtual void Clear(std::uint8_t* at, std::int64_t bytes) = 0;

  // On this stream; null if this machine has none.
  virtual const Cublas* cublas() = 0;

  // Takes note of what a launch returned.
  virtual void Note(int error) = 0;

  // Waits for all that was enqueued. ResourceExhausted or Internal, with CUDA's name of the error.
  virtual absl::Status Synchronize() = 0;

  // What is enqueued in between goes to a graph instead. Null if that failed: then nothing was
  // enqueued, and the error is kept.
  virtual void BeginRecording() = 0;
  virtual std::unique_ptr<Graph> EndRecording() = 0;

  // Enqueues all of a graph of this run time's.
  virtual void Replay(Graph& graph) = 0;
};

// The GPUs of this machine, at least one. FailedPrecondition if there is none or their driver is
// too old, Unimplemented in builds without CUDA.
absl::StatusOr<int> CountGpus();

// One of them, from 0 on. FailedPrecondition, besides, if it is older than compute capability 7.5.
absl::StatusOr<std::unique_ptr<Runtime>> OpenGpu(int number);

// Both, for who may be given others.
struct Gpus {
  absl::StatusOr<int> (*count)() = CountGpus;
  absl::StatusOr<std::unique_ptr<Runtime>> (*open)(int number) = OpenGpu;
};

// The emulator, with a stand-in for the run time that is stricter than it: memory of the device
// cannot be touched by the host, nothing runs before Synchronize(), and a graph is refused that
// names memory which has been freed since. `cublas`: null for a machine without it.
extern const CublasFunctions kEmulatedCublas;
std::unique_ptr<Runtime> MakeEmulatedRuntime(const CublasFunctions* cublas = &kEmulatedCublas);

}  // namespace fallow::cuda
