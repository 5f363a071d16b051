// What os.fork() calls before and after.
#pragma once

#include <Python.h>

namespace inferkit {

// Adds await_loads(), let_loads_in() and drop_held_back() to the module. False with an exception
// set.
[[nodiscard]] bool add_fork_hooks(PyObject* module);

}  // namespace inferkit
