// Runs the PTX that nvcc makes of a kernel, on the host: what judges nvcc's output without a GPU.
//
//   auto module = ptx::Module::Load(text_of("gemv.sm_80.ptx"));
//   module->memory().AddReadOnly(x.data(), x_bytes);
//   module->memory().Add(y.data(), y_bytes);
//   absl::Status ran = module->Launch("fallow::Gemv<4>", {.grid = {8}, .block = {128}},
//                                     y.data(), x.data(), n);
//
// A launch takes what a launch on a device takes: a grid, a block, bytes of dynamic shared memory
// and, in order, the kernel's arguments, of which pointers are host pointers into buffers that were
// added. Errors, each with its line of PTX: an instruction that is not known; an access that is
// misaligned, out of its buffer, or a write to a read-only one; shared memory read before it was
// written or before its cp.async was waited for; barriers in divergent code, shuffles from lanes
// that do not take part, threads that wait for each other. Not seen: races (see Launch's options
// for a part of them), what ptxas makes of the PTX, and anything about time.
//
// The tables of cases in tests/kernels run on it where kernels are launched as on a device: a host
// program that includes a kernel.cuh has its kernels as functions, and a Launch(kernel, shape,
// arguments...) that calls LaunchFunction(kernel, options, pointers to the arguments) runs nvcc's
// PTX of the same name instead. Buffers are added to memory() where they are allocated, or all of
// the host is trusted. CMake's fallow_ptx() makes the PTX.
//
// program.h is what parser.h reads; semantics.h and the files that it names say what each
// instruction means; warp.h and block.h decide which lanes run it when; memory.h checks addresses.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/ptx/memory.h"
#include "tests/ptx/program.h"
#include "tests/ptx/step.h"

namespace fallow::ptx {

struct LaunchOptions {
  Extent grid;
  Extent block;
  std::int64_t dynamic_shared_bytes = 0;
  // 0 lets each warp run until it waits. Any other seed draws when warps take turns, so that some
  // races show. Early copies show what a late one hides: a buffer filled while it is still read.
  std::uint64_t seed = 0;
  bool copies_land_late = true;
  std::int64_t max_instructions = 1'000'000'000;  // of all warps; more is an endless loop
};

// How often an instruction of the text ran, wherever it stands.
struct OpcodeCount {
  std::string mnemonic;  // "ld.global.v4.u32"
  int places = 0;
  int places_run = 0;
  std::int64_t warp_runs = 0;
  std::int64_t lane_runs = 0;
};

// Not thread-safe.
class Module {
 public:
  // InvalidArgument if the text is not understood.
  static absl::StatusOr<Module> Load(std::string_view text);
  static absl::StatusOr<Module> LoadFile(const std::string& path);

  // What kernels may touch, besides the module's own variables.
  GlobalMemory& memory() { return memory_; }

  // Demangled, as Launch takes them.
  std::vector<std::string> kernels() const;

  // `kernel` is the name of one kernel, such as "fallow::Gemv<4>" or as much of it as is needed.
  // InvalidArgument if the launch or its arguments do not fit the kernel, Unimplemented if it has
  // an unknown instruction, Internal if it went wrong.
  template <typename... Arguments>
  absl::Status Launch(std::string_view kernel, const LaunchOptions& options,
                      const Arguments&... arguments) {
    const std::vector<Argument> list = {{&arguments, sizeof(arguments)}...};
    return LaunchArguments(kernel, options, list);
  }

  // The same with pointers to the arguments, whose sizes the kernel knows: cudaLaunchKernel's.
  absl::Status LaunchWith(std::string_view kernel, const LaunchOptions& options,
                          const void* const* arguments);

  // The same of the kernel that is called like a function of this program: what the host's compiler
  // made of the kernel's source, for the emulator.
  absl::Status LaunchFunction(const void* function, const LaunchOptions& options,
                              const void* const* arguments);

  // Of all launches so far, by mnemonic.
  std::vector<OpcodeCount> Counts() const;
  // The counts as text: what ran, then what never did.
  std::string Report() const;

 private:
  struct Argument {
    const void* data;
    std::size_t bytes;
  };

  absl::StatusOr<Kernel*> Find(std::string_view name) const;
  absl::Status LaunchArguments(std::string_view kernel, const LaunchOptions& options,
                               std::span<const Argument> arguments);
  absl::Status Run(Kernel& kernel, const LaunchOptions& options, std::vector<std::byte> parameters);

  Program program_;
  GlobalMemory memory_;
};

}  // namespace fallow::ptx
