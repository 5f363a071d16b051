// From the core's errors to Python's exceptions.
#pragma once

#include <Python.h>

#include <exception>
#include <new>

#include "base/error.h"
#include "bindings/session.h"

namespace inferkit {

// Sets the class of inferkit.errors that the error's code names.
void set_error(const Error& error);

// Sets the exception for a request that has no result: failed, expired, closed (typed), cancelled
// (concurrent.futures.CancelledError).
void raise_request_error(SessionObject* session, const EngineRequest& request);

// A method that is called from C: C++'s heap may be empty anywhere in it.
template <auto method, class... Args>
PyObject* or_no_memory(PyObject* self, Args... args) {
  try {
    return method(self, args...);
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
}
// The same of one with METH_FASTCALL | METH_KEYWORDS, as a PyMethodDef takes it.
template <auto method>
PyCFunction fast_method() {
  constexpr auto called = or_no_memory<method, PyObject* const*, Py_ssize_t, PyObject*>;
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(called));
}

// Adds error_table() to the module.
[[nodiscard]] bool add_errors(PyObject* module);

}  // namespace inferkit
