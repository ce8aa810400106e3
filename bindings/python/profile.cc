#include "fallow/profile.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>

#include "bindings.h"
#include "errors.h"
#include "options.h"

namespace fallow::python {
namespace {

namespace py = pybind11;

py::dict PhaseToPython(const PhaseProfile& phase) {
  py::list kernels;
  for (const KernelProfile& kernel : phase.kernels) {
    py::dict entry;
    entry["kernel"] = kernel.kernel;
    entry["calls"] = kernel.calls;
    entry["seconds"] = kernel.seconds;
    entry["bytes"] = kernel.bytes;
    entry["multiply_adds"] = kernel.multiply_adds;
    entry["least_seconds"] = kernel.least_seconds;
    kernels.append(entry);
  }
  py::dict result;
  result["seconds"] = phase.seconds;
  result["tokens_per_second"] = phase.tokens_per_second;
  result["kernels"] = kernels;
  return result;
}

py::dict ProfilePath(const py::dict& given) {
  const auto options = OptionsFrom<ProfileOptions>(given);
  auto profile = [&] {
    const py::gil_scoped_release unlocked;
    return ProfileModel(options);
  }();
  const Profile found = OrRaise(std::move(profile));
  py::dict result;
  result["device"] = found.device;
  result["numeric_class"] = found.numeric_class;
  result["threads"] = found.threads;
  result["memory_bytes_per_second"] = found.memory_bytes_per_second;
  result["cache_bytes_per_second"] = found.cache_bytes_per_second;
  result["prefill"] = PhaseToPython(found.prefill);
  result["decode"] = PhaseToPython(found.decode);
  return result;
}

}  // namespace

void AddProfile(py::module_& module) {
  module.def("profile_defaults", &Defaults<ProfileOptions>);
  module.def("profile", &ProfilePath, py::arg("options"));
}

}  // namespace fallow::python
