#include "call_python.h"

namespace fallow::python {

namespace py = pybind11;

bool CallPython(const py::object& callback, int prompt, int token, PendingError& error) {
  if (error.waits()) return false;
  const py::gil_scoped_acquire locked;
  try {
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (callback.is_none()) return true;
    const py::object answer = callback(prompt, token);
    return answer.is_none() || static_cast<bool>(py::bool_(answer));
  } catch (...) {
    error.KeepCurrent();
    return false;
  }
}

}  // namespace fallow::python
