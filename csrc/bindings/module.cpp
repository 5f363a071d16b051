// inferkit._core: table of contents.
#include <pybind11/pybind11.h>

#include <string>

#include "base/version.h"
#include "bindings/close.h"
#include "bindings/coroutine.h"
#include "bindings/coroutine_start.h"
#include "bindings/errors.h"
#include "bindings/fork_hooks.h"
#include "bindings/future.h"
#include "bindings/info.h"
#include "bindings/main_thread.h"
#include "bindings/notifier.h"
#include "bindings/numpy_api.h"
#include "bindings/open.h"
#include "bindings/result_object.h"
#include "bindings/run.h"
#include "bindings/runtime.h"
#include "bindings/session.h"
#include "bindings/stats.h"

namespace py = pybind11;

namespace {

// False with ImportError set.
bool in_main_interpreter() {
  if (PyInterpreterState_Get() == PyInterpreterState_Main()) return true;
  PyErr_SetString(PyExc_ImportError,
                  "inferkit serves the main interpreter of a process and cannot be imported in a "
                  "sub-interpreter; import it in the main one, or use processes");
  return false;
}

}  // namespace

PYBIND11_MODULE(_core_body, module) {
  if (!in_main_interpreter()) throw py::error_already_set();
  using namespace inferkit;
  module.doc() = "The native core of inferkit. Private: use the names of the package.";
  module.attr("__version__") = std::string(version());
  const bool added = import_numpy() && note_main_thread() && add_errors(module.ptr()) &&
                     add_result(module.ptr()) && add_session(module.ptr()) && add_run() &&
                     add_info() && add_stats() && add_close() && add_coroutine(module.ptr()) &&
                     add_run_async() && add_fork_hooks(module.ptr()) &&
                     add_notifier(module.ptr()) && add_submit(module.ptr());
  if (!added) throw py::error_already_set();
  add_open(module);
  add_runtime(module);
  py::register_exception_translator([](std::exception_ptr failure) {
    try {
      if (failure) std::rethrow_exception(failure);
    } catch (const Error& error) {
      set_error(error);
    }
  });
}

// Before pybind11's own, whose first load hangs in a sub-interpreter. From 3.13 on this function
// runs in the main interpreter all the same, and only the module's body in the other.
PyMODINIT_FUNC PyInit__core() { return in_main_interpreter() ? PyInit__core_body() : nullptr; }
