// Launches: blocks in order or at random, on one thread of the operating system or on several.
#include <algorithm>
#include <atomic>
#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/emulator/block.h"
#include "kernels/cuda/emulator/checker.h"
#include "kernels/cuda/emulator/findings.h"

namespace fallow::cuda::emulator {
namespace {

Options options;

bool IsValid(const LaunchShape& shape) {
  const auto product = [](const dim3& d) { return std::uint64_t{d.x} * d.y * d.z; };
  constexpr unsigned kMostBlocks = 65535;  // along y and z
  return product(shape.grid) > 0 && shape.grid.y <= kMostBlocks && shape.grid.z <= kMostBlocks &&
         product(shape.block) > 0 && product(shape.block) <= kMostThreads &&
         shape.shared_bytes <= kMostSharedBytes;
}

std::vector<std::uint64_t> BlocksInOrder(const dim3& grid) {
  std::vector<std::uint64_t> blocks(std::uint64_t{grid.x} * grid.y * grid.z);
  std::iota(blocks.begin(), blocks.end(), 0);
  if (!options.random_order) return blocks;
  Draw draw(options.seed);
  for (std::size_t i = blocks.size(); i > 1; --i) std::swap(blocks[i - 1], blocks[draw(i)]);
  return blocks;
}

// The part of one thread of the operating system: takes blocks while there are some. Returns how
// much it found wrong.
std::int64_t RunBlocks(const Block::Kernel& kernel, const std::vector<std::uint64_t>& blocks,
                       std::atomic<std::size_t>& next) {
  const std::int64_t before = ReportsOfThisThread();
  Block block(kernel, options.seed);
  for (std::size_t i = next++; i < blocks.size(); i = next++) {
    if (!block.Run(blocks[i])) next = blocks.size();
  }
  return ReportsOfThisThread() - before;
}

}  // namespace

void SetOptions(const Options& new_options) { options = new_options; }
const Options& CurrentOptions() { return options; }

cudaError_t RunGrid(const LaunchShape& shape, const Call& call) {
  if (!IsValid(shape)) {
    Report("bad launch", __builtin_return_address(0), "grid, block or shared memory out of range");
    return cudaErrorInvalidConfiguration;
  }
  if (options.run_instead) {
    return options.run_instead(shape, call) ? cudaSuccess : cudaErrorLaunchFailure;
  }
  const Block::Kernel kernel{shape, call};
  const std::vector<std::uint64_t> blocks = BlocksInOrder(shape.grid);
  std::atomic<std::size_t> next = 0;
  std::atomic<std::int64_t> found = 0;
  if constexpr (kChecked) Checker::Get().BeginLaunch();
  if (options.pool && !kChecked) {
    options.pool->Run([&](int) { found += RunBlocks(kernel, blocks, next); });
  } else {
    found = RunBlocks(kernel, blocks, next);
  }
  return found == 0 ? cudaSuccess : cudaErrorLaunchFailure;
}

void CheckLaunch(cudaError_t error) {
  if (error == cudaErrorInvalidConfiguration) {
    Report("bad launch", __builtin_return_address(0), "refused");
  }
}

}  // namespace fallow::cuda::emulator

namespace fallow::cuda {

int ComputeCapability() { return emulator::CurrentOptions().compute_capability; }

}  // namespace fallow::cuda
