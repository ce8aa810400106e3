#include "errors.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "bindings.h"

namespace fallow::python {
namespace {

namespace py = pybind11;

// Made once by AddErrors; they live as long as the process, as extension types do.
struct Exceptions {
  PyObject* error = nullptr;
  PyObject* peer_unavailable = nullptr;
  PyObject* halted = nullptr;
  PyObject* checkpoint = nullptr;
  PyObject* unsupported = nullptr;
};
Exceptions exceptions;

PyObject* NewException(py::module_& module, const char* name, const char* doc, PyObject* base) {
  PyObject* type =
      PyErr_NewExceptionWithDoc(absl::StrCat("fallow.", name).c_str(), doc, base, nullptr);
  if (type == nullptr) throw py::error_already_set();
  module.attr(name) = py::reinterpret_borrow<py::object>(type);
  return type;
}

PyObject* ExceptionFor(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return PyExc_ValueError;
    case absl::StatusCode::kDeadlineExceeded:
      return PyExc_TimeoutError;
    case absl::StatusCode::kResourceExhausted:
      return PyExc_MemoryError;
    case absl::StatusCode::kUnavailable:
      return exceptions.peer_unavailable;
    case absl::StatusCode::kFailedPrecondition:
      return exceptions.halted;
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kDataLoss:
      return exceptions.checkpoint;
    case absl::StatusCode::kUnimplemented:
      return exceptions.unsupported;
    default:
      return exceptions.error;
  }
}

}  // namespace

void Raise(const absl::Status& status) {
  const std::string message(status.message());
  PyErr_SetString(ExceptionFor(status.code()), message.c_str());
  throw py::error_already_set();
}

void AddErrors(py::module_& module) {
  PyObject* const error =
      NewException(module, "Error", "What fallow raises where no exception of Python's own fits.",
                   PyExc_Exception);
  exceptions = {
      .error = error,
      .peer_unavailable = NewException(
          module, "PeerUnavailable",
          "No peer serves some blocks, or an address is in use. Others may; try again.", error),
      .halted = NewException(
          module, "Halted",
          "Work was halted or not paid for, or a process was forked after start. Do not retry.",
          error),
      .checkpoint =
          NewException(module, "CheckpointError",
                       "A checkpoint is missing or damaged; names the file and the place.", error),
      .unsupported =
          NewException(module, "Unsupported",
                       "A model, format, version or feature that is not known here.", error),
  };
}

}  // namespace fallow::python
