#include "bindings/main_thread.h"

#include <algorithm>

#include "bindings/ref.h"

namespace inferkit {
namespace {

unsigned long main_thread = 0;  // written and read with the GIL

}  // namespace

bool note_main_thread() {
  const Ref module = Ref::steal(PyImport_ImportModule("threading"));
  if (!module) return false;
  const Ref thread = Ref::steal(PyObject_CallMethod(module.get(), "main_thread", nullptr));
  if (!thread) return false;
  const Ref ident = Ref::steal(PyObject_GetAttrString(thread.get(), "ident"));
  if (!ident) return false;
  main_thread = PyLong_AsUnsignedLong(ident.get());
  return PyErr_Occurred() == nullptr;
}

TimeNs slice_end(const Clock& clock, TimeNs until) noexcept {
  if (PyThread_get_thread_ident() != main_thread) return until;
  return std::min(until, clock.now() + kSignalSlice);
}

}  // namespace inferkit
