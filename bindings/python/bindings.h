// The module's parts: each adds its classes and functions.
#pragma once

#include <pybind11/pybind11.h>

namespace fallow::python {

void AddErrors(pybind11::module_& module);
void AddModel(pybind11::module_& module);
void AddServer(pybind11::module_& module);
void AddCheckpoint(pybind11::module_& module);
void AddProfile(pybind11::module_& module);
void AddCache(pybind11::module_& module);

// Frees an object without the GIL: its threads may take a while to end.
struct UnlockedDelete {
  template <typename T>
  void operator()(T* object) const {
    pybind11::gil_scoped_release unlocked;
    delete object;
  }
};

}  // namespace fallow::python
