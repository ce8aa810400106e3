#include "options.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace fallow::python {

namespace py = pybind11;

py::object ToPython(absl::Duration value) { return py::float_(absl::ToDoubleSeconds(value)); }

py::object ToPython(const BlockRange& value) { return py::make_tuple(value.begin, value.end); }

py::object ToPython(EndMode value) { return py::str(value == EndMode::kRing ? "ring" : "private"); }

void FromPython(py::handle value, absl::Duration& field) {
  field = absl::Seconds(value.cast<double>());
}

void FromPython(py::handle value, BlockRange& field) {
  const auto [begin, end] = value.cast<std::pair<int, int>>();
  field = {begin, end};
}

void FromPython(py::handle value, EndMode& field) {
  const auto name = value.cast<std::string>();
  if (name != "ring" && name != "private") {
    throw py::value_error(absl::StrCat("end_mode = \"", name, "\", expected ring or private"));
  }
  field = name == "ring" ? EndMode::kRing : EndMode::kPrivateEnds;
}

void ThrowBadOption(const char* name, py::handle value) {
  throw py::type_error(
      absl::StrCat(name, " = ", std::string(py::repr(value)), ": wrong type, or too large for it"));
}

void ThrowUnknownOption(const py::dict& given, const py::dict& known) {
  for (const auto& [name, value] : given) {
    if (!known.contains(name)) {
      throw py::type_error(absl::StrCat("no option ", std::string(py::str(name))));
    }
  }
  throw py::type_error("options are given by name");
}

}  // namespace fallow::python
