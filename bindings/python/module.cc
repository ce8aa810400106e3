// fallow._core: the C++ library as Python sees it. Each function converts, releases the GIL, calls
// and converts back; what decides anything lies in the library or in the package around it.

#include "base/log.h"
#include "base/platform/process.h"
#include "bindings.h"

namespace py = pybind11;

PYBIND11_MODULE(_core, module) {
  module.doc() = "The C++ library. Use the package fallow, which this is a part of.";
  module.attr("__version__") = FALLOW_VERSION;
  fallow::python::AddErrors(module);
  fallow::python::AddCheckpoint(module);
  fallow::python::AddCache(module);
  fallow::python::AddModel(module);
  fallow::python::AddProfile(module);
  fallow::python::AddServer(module);
  module.def("log_to_stderr", [] { fallow::SetLogSink(fallow::LogToStderr); });
  module.def("tune_process", &fallow::TuneProcess);
}
