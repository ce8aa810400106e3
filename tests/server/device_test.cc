// Which devices the option `device` comes to, whatever the machine has.
#include "server/device.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/log.h"
#include "catch2/catch_test_macros.hpp"
#include "kernels/cuda/backend.h"

namespace fallow {
namespace {

using Gpu = absl::StatusOr<std::unique_ptr<cuda::Runtime>>;
using Names = std::vector<std::string>;

const cuda::Gpus kNone = {
    .count = []() -> absl::StatusOr<int> { return absl::FailedPreconditionError("CUDA: none"); },
    .open = [](int) -> Gpu { return absl::FailedPreconditionError("CUDA: none"); }};
// Two, of which the second is too old.
const cuda::Gpus kTwo = {.count = []() -> absl::StatusOr<int> { return 2; },
                         .open = [](int number) -> Gpu {
                           if (number == 0) return cuda::MakeEmulatedRuntime();
                           return absl::FailedPreconditionError("CUDA: 7.0, expected 7.5");
                         }};

struct Choice {
  absl::Status status;
  Names names;
  Names log;
};

Choice Choose(const std::string& device, const cuda::Gpus& gpus) {
  static WorkerPool pool(1);
  Choice choice;
  SetLogSink([&](LogLevel, std::string_view line) { choice.log.emplace_back(line); });
  const auto backends = MakeBackends(device, *ChooseCpuKernels(nullptr), pool, gpus);
  SetLogSink(nullptr);
  choice.status = backends.status();
  if (!backends.ok()) return choice;
  for (const auto& backend : *backends) choice.names.push_back(backend->name());
  return choice;
}

TEST_CASE("auto means all GPUs, then the CPU; the log says why one is left out",
          "[server][device]") {
  const std::string cpu = Choose("cpu", kNone).names.at(0);
  CHECK(cpu.starts_with("cpu "));
  const Choice none = Choose("auto", kNone);
  CHECK(none.names == Names{cpu});
  CHECK(none.log == Names{"device: the CPU: CUDA: none"});
  const Choice two = Choose("auto", kTwo);
  CHECK(two.names == Names{"cuda-emulated", cpu});
  CHECK(two.log == Names{"device: not this GPU: CUDA: 7.0, expected 7.5"});
}

TEST_CASE("auto on this machine means its GPUs, or the log says why there are none",
          "[server][device]") {
  const absl::StatusOr<int> count = cuda::CountGpus();
  const Choice choice = Choose("auto", {});
  REQUIRE(choice.status.ok());
  CHECK(choice.names.back().starts_with("cpu "));
  if (count.ok()) {
    CHECK(choice.names.size() - 1 + choice.log.size() == static_cast<std::size_t>(*count));
  } else if (absl::IsUnimplemented(count.status())) {  // a build without CUDA
    CHECK(choice.names.size() == 1);
    CHECK(choice.log.empty());
  } else {
    CHECK(choice.names.size() == 1);
    CHECK(choice.log == Names{"device: the CPU: " + std::string(count.status().message())});
    CHECK(absl::StartsWith(count.status().message(), "CUDA: "));
  }
}

TEST_CASE("devices are named in a list", "[server][device]") {
  CHECK(Choose("cuda", kTwo).names == Names{"cuda-emulated"});
  CHECK(Choose("cuda:0,cpu", kTwo).names.size() == 2);
  CHECK(Choose("cuda-emulated,cpu,cuda-emulated", kNone).names.size() == 3);
  for (const char* absent : {"cuda:1", "cuda:0,cuda:1"}) {
    const Choice choice = Choose(absent, kTwo);
    CHECK(absl::IsFailedPrecondition(choice.status));
    CHECK(choice.log.empty());
  }
  for (const char* wrong : {"", "abacus", "cpu,", "cuda:", "cuda:x", "cuda:-1", "cuda1", "CPU"}) {
    INFO(wrong);
    CHECK(absl::IsInvalidArgument(Choose(wrong, kTwo).status));
  }
}

// With CUDA a machine without a GPU gets as far as CUDA's run time; without, it is not spoken of.
TEST_CASE("auto finds a device on this machine", "[server][device]") {
  const absl::Status gpus = cuda::CountGpus().status();
  INFO(gpus);
  const Choice choice = Choose("auto", {});
  CHECK(choice.status.ok());
  if (absl::IsFailedPrecondition(gpus)) CHECK(choice.log.size() == 1);
  if (absl::IsUnimplemented(gpus)) CHECK(choice.log.empty());
}

}  // namespace
}  // namespace fallow
