#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <utility>

#include "bindings.h"
#include "errors.h"
#include "fallow/block_server.h"
#include "options.h"
#include "spec.h"

namespace fallow::python {
namespace {

namespace py = pybind11;

std::shared_ptr<BlockServer> Start(const py::dict& given) {
  auto options = OptionsFrom<BlockServer::Options>(given);
  auto server = [&] {
    const py::gil_scoped_release unlocked;
    return BlockServer::Start(std::move(options));
  }();
  return {OrRaise(std::move(server)).release(), UnlockedDelete()};
}

py::dict StatsToPython(const BlockServer::Stats& stats) {
  py::dict result;
  result["sessions"] = stats.sessions;
  result["weight_bytes"] = stats.weight_bytes;
  result["kv_tokens_reserved"] = stats.kv_tokens_reserved;
  result["kv_tokens_capacity"] = stats.kv_tokens_capacity;
  result["passes"] = stats.passes;
  result["rows"] = stats.rows;
  result["computing_seconds"] = absl::ToDoubleSeconds(stats.computing);
  result["draining"] = stats.draining;
  return result;
}

}  // namespace

void AddServer(py::module_& module) {
  module.def("server_defaults", &Defaults<BlockServer::Options>);

  const py::call_guard<py::gil_scoped_release> unlocked;
  py::class_<BlockServer, std::shared_ptr<BlockServer>>(module, "Server")
      .def(py::init(&Start), py::arg("options"))
      .def("address", [](const BlockServer& server) { return server.address(); })
      .def("peer", [](const BlockServer& server) { return server.peer().ToString(); })
      .def("spec", [](const BlockServer& server) { return SpecToPython(server.spec()); })
      .def("blocks", [](const BlockServer& server) { return ToPython(server.blocks()); })
      .def("numeric_class", [](const BlockServer& server) { return server.numeric_class(); })
      .def("stats", [](const BlockServer& server) { return StatsToPython(server.stats()); })
      .def(
          "stop",
          [](BlockServer& server, double deadline) { server.Stop(absl::Seconds(deadline)); },
          py::arg("deadline"), unlocked)
      .def(
          "wait",
          [](BlockServer& server, double timeout) { return server.Wait(absl::Seconds(timeout)); },
          py::arg("timeout"), unlocked);
}

}  // namespace fallow::python
