// runtime_info(): what an ONNX Runtime library offers.
#pragma once

#include <pybind11/pybind11.h>

namespace inferkit {

// Adds runtime_info() to the module.
void add_runtime(pybind11::module_& module);

}  // namespace inferkit
