#include "bindings/main_thread.h"

#include <algorithm>
#include <atomic>

#include "bindings/ref.h"

namespace inferkit {
namespace {

std::atomic<unsigned long> main_thread{0};  // relaxed: a number, and it hardly ever changes

}  // namespace

bool note_main_thread() {
  const Ref module = Ref::steal(PyImport_ImportModule("threading"));
  if (!module) return false;
  const Ref thread = Ref::steal(PyObject_CallMethod(module.get(), "main_thread", nullptr));
  if (!thread) return false;
  const Ref ident = Ref::steal(PyObject_GetAttrString(thread.get(), "ident"));
  if (!ident) return false;
  main_thread.store(PyLong_AsUnsignedLong(ident.get()), std::memory_order_relaxed);
  return PyErr_Occurred() == nullptr;
}

TimeNs slice_end(const Clock& clock, TimeNs until) noexcept {
  if (PyThread_get_thread_ident() != main_thread.load(std::memory_order_relaxed)) return until;
  return std::min(until, clock.now() + kSignalSlice);
}

}  // namespace inferkit
