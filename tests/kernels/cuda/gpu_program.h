// nvcc's PTX on a GPU, by CUDA's run time. Has not run on one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fallow::test {

struct Bytes {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// The pages on which these lie, in order and without overlaps.
std::vector<Bytes> PagesOf(std::vector<Bytes> memory);

class GpuProgram {
 public:
  struct Extent {
    unsigned x, y, z;
  };
  struct Shape {
    Extent grid;
    Extent block;
    std::size_t shared_bytes = 0;
  };

  // FailedPrecondition if there is no GPU that can use the host's memory at the host's addresses.
  static absl::StatusOr<std::unique_ptr<GpuProgram>> Load(const std::string& path);
  ~GpuProgram();

  // Runs the kernel of that demangled name, which may touch `memory` of the host.
  absl::Status Run(const std::string& kernel, const Shape& shape, const void* const* arguments,
                   const std::vector<Bytes>& memory);

 private:
  GpuProgram() = default;

  struct Loaded;
  std::unique_ptr<Loaded> loaded_;
};

}  // namespace fallow::test
