#include "server/device.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "kernels/cuda/backend.h"

namespace fallow {
namespace {

using Backends = std::vector<std::unique_ptr<Backend>>;

// All that there are, in order; the log says why one is left out.
void AddGpus(const cuda::Gpus& gpus, WorkerPool& pool, Backends& backends) {
  const absl::StatusOr<int> count = gpus.count();
  const auto log = [](const char* what, const absl::Status& why) {
    Log(LogLevel::kInfo, absl::StrCat("device: ", what, ": ", std::string(why.message())));
  };
  if (!count.ok() && !absl::IsUnimplemented(count.status())) log("the CPU", count.status());
  for (int number = 0; number < count.value_or(0); ++number) {
    auto gpu = gpus.open(number);
    if (gpu.ok()) backends.push_back(MakeCudaBackend(*std::move(gpu), pool));
    if (!gpu.ok()) log("not this GPU", gpu.status());
  }
}

absl::Status Add(const std::string& name, const KernelTable& cpu, WorkerPool& pool,
                 const cuda::Gpus& gpus, Backends& backends) {
  if (name == "cpu") {
    backends.push_back(MakeHostBackend(cpu, pool));
    return absl::OkStatus();
  }
  if (name == "cuda-emulated") {
    backends.push_back(MakeCudaBackend(cuda::MakeEmulatedRuntime(), pool));
    return absl::OkStatus();
  }
  int number = 0;
  absl::string_view rest = name;
  const bool gpu = absl::ConsumePrefix(&rest, "cuda") &&
                   (rest.empty() || (absl::ConsumePrefix(&rest, ":") &&
                                     absl::SimpleAtoi(rest, &number) && number >= 0));
  if (!gpu) {
    return absl::InvalidArgumentError(
        absl::StrCat("device = ", name,
                     ", expected auto, cpu, cuda, cuda:1 (or another number) or cuda-emulated"));
  }
  FALLOW_ASSIGN_OR_RETURN(auto runtime, gpus.open(number));
  backends.push_back(MakeCudaBackend(std::move(runtime), pool));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Backends> MakeBackends(const std::string& names, const KernelTable& cpu,
                                      WorkerPool& pool, const cuda::Gpus& gpus) {
  Backends backends;
  if (names != "auto") {
    const std::vector<std::string> list = absl::StrSplit(names, ',');
    for (const std::string& name : list) {
      FALLOW_RETURN_IF_ERROR(Add(name, cpu, pool, gpus, backends));
    }
    return backends;
  }
  AddGpus(gpus, pool, backends);
  backends.push_back(MakeHostBackend(cpu, pool));
  return backends;
}

}  // namespace fallow
