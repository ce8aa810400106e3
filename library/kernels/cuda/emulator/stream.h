// A stream: what it was given, in order, until it is run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/cuda/emulator/device.h"

namespace fallow::cuda::emulator {

// A function and a copy of what it is called with.
struct Operation {
  cudaError_t (*run)(const void* closure) = nullptr;
  std::vector<std::uint64_t> closure;
};

// As Enqueue() finds it behind a cudaStream_t.
class Stream {
 public:
  void Add(Operation operation) { waiting_.push_back(std::move(operation)); }
  std::vector<Operation> Take() { return std::exchange(waiting_, {}); }

 private:
  std::vector<Operation> waiting_;
};

}  // namespace fallow::cuda::emulator
