// inferkit._core.Result: a dict of outputs that remembers how they came about.
#pragma once

#include <Python.h>

#include "bindings/session.h"

namespace inferkit {

// Empty, with the facts of the request's run. Null with an exception set.
[[nodiscard]] PyObject* new_result(const EngineRequest& request);

// Creates the type Result and adds it to the module.
[[nodiscard]] bool add_result(PyObject* module);

}  // namespace inferkit
