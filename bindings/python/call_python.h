// Callbacks from the library into Python.
#pragma once

#include <pybind11/pybind11.h>

#include <exception>

namespace fallow::python {

// An exception raised in Python, kept until the library has returned.
class PendingError {
 public:
  bool waits() const { return error_ != nullptr; }
  void KeepCurrent() { error_ = std::current_exception(); }
  // Throws it, if there is one. Needs the GIL.
  void Rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::exception_ptr error_;
};

// Runs signal handlers, then `callback` with a prompt's index and its token; `callback` may be
// None. False where it returned something false other than None, or raised: the exception is kept
// in `error`, after which no further call is made. Call it without the GIL.
bool CallPython(const pybind11::object& callback, int prompt, int token, PendingError& error);

}  // namespace fallow::python
