// open_session(): from checked Python options to a running engine.
#pragma once

#include <pybind11/pybind11.h>

namespace inferkit {

// Adds open_session() to the module.
void add_open(pybind11::module_& module);

}  // namespace inferkit
