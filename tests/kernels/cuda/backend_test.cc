// The CUDA back end on the emulator's run time, and what that run time refuses.
#include "kernels/cuda/backend.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <limits>
#include <numeric>
#include <vector>

#include "tests/kernels/weights.h"

namespace fallow::test {
namespace {

using cuda::Graph;
using cuda::Runtime;

std::vector<std::uint8_t> Counted(std::int64_t bytes) {
  std::vector<std::uint8_t> numbers(bytes);
  std::iota(numbers.begin(), numbers.end(), std::uint8_t{3});
  return numbers;
}

// How a process ends that reads the byte.
int SignalOfReading(const std::uint8_t* byte) {
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);
    const volatile std::uint8_t* read = byte;
    _exit(*read == 1 ? 1 : 0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

class OnDevice {
 public:
  std::shared_ptr<Buffer> Allocate(std::int64_t bytes) {
    auto buffer = backend->Allocate(bytes);
    REQUIRE(buffer.ok());
    return *std::move(buffer);
  }

  std::vector<std::uint8_t> Read(Buffer& buffer, std::int64_t bytes) {
    std::vector<std::uint8_t> read(bytes, 77);
    backend->ToHost(read.data(), buffer.data(), bytes);
    REQUIRE(backend->Finish().ok());
    return read;
  }

  WorkerPool pool{2};
  std::unique_ptr<Backend> backend = MakeCudaBackend(cuda::MakeEmulatedRuntime(), pool);
};

TEST_CASE("what is copied to a device comes back from it", "[cuda][backend]") {
  OnDevice device;
  for (const std::int64_t bytes : {1, 255, 4096, (8 << 20) - 1, (8 << 20) + 1, 20 << 20}) {
    CAPTURE(bytes);
    const auto buffer = device.Allocate(bytes);
    CHECK(device.Read(*buffer, bytes) == std::vector<std::uint8_t>(bytes));
    std::vector<std::uint8_t> sent = Counted(bytes);
    const std::vector<std::uint8_t> expected = sent;
    device.backend->ToDevice(buffer->data(), sent.data(), bytes);
    std::fill(sent.begin(), sent.end(), 0);  // the caller's again at once
    const auto copy = device.Allocate(bytes);
    device.backend->Copy(copy->data(), buffer->data(), bytes);
    device.backend->Clear(buffer->data(), bytes);
    CHECK(device.Read(*copy, bytes) == expected);
    CHECK(device.Read(*buffer, bytes) == std::vector<std::uint8_t>(bytes));
  }
}

TEST_CASE("a device's memory is not the host's", "[cuda][backend]") {
  OnDevice device;
  const auto buffer = device.Allocate(64);
  CHECK(SignalOfReading(buffer->data()) == SIGSEGV);
  device.Read(*buffer, 64);
  CHECK(SignalOfReading(buffer->data()) == SIGSEGV);
}

TEST_CASE("memory that a device cannot give is refused by status", "[cuda][backend]") {
  OnDevice device;
  CHECK(absl::IsInvalidArgument(device.backend->Allocate(-1).status()));
  const auto too_much = device.backend->Allocate(std::numeric_limits<std::int64_t>::max() / 2);
  CHECK(absl::IsResourceExhausted(too_much.status()));
  CHECK(device.backend->Finish().ok());
}

TEST_CASE("a device's weights are packed as the host's", "[cuda][backend]") {
  OnDevice device;
  const auto host = MakeHostBackend(*CpuKernels().back(), device.pool);
  CHECK(device.backend->layout() == host->layout());
  Random random(3);
  for (const WeightType type : kWeightTypes) {
    CAPTURE(Name(type));
    const WeightRows rows = RandomWeights(type, 33, 96, random);
    const Weight expected = *host->Pack(rows);
    const Weight packed = *device.backend->Pack(rows);
    CHECK(packed.panels.data == packed.memory->data());
    const std::span<const std::uint8_t> bytes(expected.memory->data(), expected.panels.bytes());
    CHECK(std::ranges::equal(device.Read(*packed.memory, packed.panels.bytes()), bytes));
  }
}

// A run time, and memory of it.
struct Direct {
  std::unique_ptr<Runtime> runtime = cuda::MakeEmulatedRuntime();
  std::uint8_t* device = runtime->Allocate(64);
  std::uint8_t* pinned = runtime->AllocatePinned(64);

  ~Direct() {
    if (device) runtime->Free(device);
    runtime->FreePinned(pinned);
  }
};

TEST_CASE("the stand-in does nothing before it is waited for", "[cuda][backend]") {
  Direct direct;
  direct.pinned[0] = 1;
  direct.runtime->CopyToDevice(direct.device, direct.pinned, 64);
  direct.runtime->CopyToHost(direct.pinned + 1, direct.device, 1);
  direct.pinned[0] = 2;
  CHECK(direct.pinned[1] == 0);
  REQUIRE(direct.runtime->Synchronize().ok());
  CHECK(direct.pinned[1] == 2);
}

TEST_CASE("a graph does again what was recorded", "[cuda][backend]") {
  Direct direct;
  direct.runtime->BeginRecording();
  direct.runtime->CopyToDevice(direct.device, direct.pinned, 1);
  direct.runtime->CopyToHost(direct.pinned + 1, direct.device, 1);
  const std::unique_ptr<Graph> graph = direct.runtime->EndRecording();
  REQUIRE(graph);
  REQUIRE(direct.runtime->Synchronize().ok());
  CHECK(direct.pinned[1] == 0);
  for (const std::uint8_t value : {5, 6}) {
    direct.pinned[0] = value;
    direct.runtime->Replay(*graph);
    REQUIRE(direct.runtime->Synchronize().ok());
    CHECK(direct.pinned[1] == value);
  }
}

TEST_CASE("the stand-in refuses what a device's run time might let pass", "[cuda][backend]") {
  Direct direct;
  Runtime& runtime = *direct.runtime;
  std::string refused;
  SECTION("pageable memory") {
    std::uint8_t pageable[64] = {};
    runtime.CopyToDevice(direct.device, pageable, 64);
    refused = "not pinned";
  }
  SECTION("to allocate while recording") {
    runtime.BeginRecording();
    CHECK(runtime.Allocate(64) == nullptr);
    CHECK(runtime.EndRecording() == nullptr);
    refused = "allocate while recording";
  }
  SECTION("to wait while recording") {
    runtime.BeginRecording();
    CHECK_FALSE(runtime.Synchronize().ok());
    CHECK(runtime.EndRecording() == nullptr);
    refused = "wait while recording";
  }
  SECTION("a graph that names freed memory") {
    runtime.BeginRecording();
    runtime.CopyToDevice(direct.device, direct.pinned, 1);
    const std::unique_ptr<Graph> graph = runtime.EndRecording();
    runtime.Free(std::exchange(direct.device, nullptr));
    runtime.Replay(*graph);
    refused = "freed since";
  }
  const absl::Status status = runtime.Synchronize();
  INFO(status.ToString());
  CHECK(status.code() == absl::StatusCode::kInternal);
  CHECK(status.message().find(refused) != absl::string_view::npos);
}

}  // namespace
}  // namespace fallow::test
