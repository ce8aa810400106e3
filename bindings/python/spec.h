// A ModelSpec as a dict.
#pragma once

#include <pybind11/pybind11.h>

#include "fallow/model_spec.h"

namespace fallow::python {

// Keys are the fields' names; enumerators are lower-case words, RopeScaling a dict of its own.
pybind11::dict SpecToPython(const ModelSpec& spec);

}  // namespace fallow::python
