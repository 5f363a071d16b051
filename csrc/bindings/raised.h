// The exception that is being raised, as an object.
#pragma once

#include <Python.h>

#include "bindings/ref.h"

namespace inferkit {

// Takes the exception that is set, with its traceback; empty when none is.
[[nodiscard]] inline Ref take_raised() noexcept {
#if PY_VERSION_HEX >= 0x030c0000
  return Ref::steal(PyErr_GetRaisedException());
#else
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  if (type == nullptr) return {};
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback != nullptr) {
    PyException_SetTraceback(value, traceback);
    Py_DECREF(traceback);
  }
  Py_DECREF(type);
  return Ref::steal(value);
#endif
}

// Raises an exception object; the traceback it carries is kept.
inline void raise(Ref exception) noexcept {
#if PY_VERSION_HEX >= 0x030c0000
  PyErr_SetRaisedException(exception.release());
#else
  PyObject* value = exception.release();
  PyErr_Restore(Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(value))), value,
                PyException_GetTraceback(value));
#endif
}

// Keeps the exception that is set while other Python code runs.
// Threads: with the GIL. Owns: the exception, which is set again at the end.
class RaisedAside {
 public:
  RaisedAside() noexcept : exception_(take_raised()) {}
  ~RaisedAside() {
    if (!exception_) return;
    if (unwinding_expected.load(std::memory_order_relaxed)) [[unlikely]]
      sleep_if_unwound();
    raise(std::move(exception_));
  }
  RaisedAside(const RaisedAside&) = delete;
  RaisedAside& operator=(const RaisedAside&) = delete;

 private:
  Ref exception_;
};

}  // namespace inferkit
