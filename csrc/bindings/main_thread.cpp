#include "bindings/main_thread.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "bindings/raised.h"

namespace inferkit {
namespace {

std::atomic<unsigned long> main_thread{0};  // relaxed: a number, and it hardly ever changes
PyObject* some_python = nullptr;            // a function written in Python; lives for ever

}  // namespace

bool note_main_thread() {
  const Ref module = Ref::steal(PyImport_ImportModule("threading"));
  if (!module) return false;
  if (some_python == nullptr) some_python = PyObject_GetAttrString(module.get(), "main_thread");
  if (some_python == nullptr) return false;
  const Ref thread = Ref::steal(PyObject_CallNoArgs(some_python));
  if (!thread) return false;
  const Ref ident = Ref::steal(PyObject_GetAttrString(thread.get(), "ident"));
  if (!ident) return false;
  main_thread.store(PyLong_AsUnsignedLong(ident.get()), std::memory_order_relaxed);
  return PyErr_Occurred() == nullptr;
}

namespace {

bool on_main_thread() noexcept {
  return PyThread_get_thread_ident() == main_thread.load(std::memory_order_relaxed);
}

int raise_now(void* exception) {
  raise(Ref::steal(static_cast<PyObject*>(exception)));
  return -1;
}

}  // namespace

TimeNs slice_end(const Clock& clock, TimeNs until) noexcept {
  return std::min(until, clock.now() + (on_main_thread() ? kSignalSlice : kOtherSlice));
}

bool look_up() {
  if (PyErr_CheckSignals() < 0) return false;
  // The interpreter raises the other kind as it begins to run Python code, whichever that is. Held
  // as a Ref, so that a thread that is unwound in there stops here (gil.h, rule 5).
  const Ref function = Ref::borrow(some_python);
  return static_cast<bool>(Ref::steal(PyObject_CallNoArgs(function.get())));
}

bool raise_soon(Ref exception) {
  if (!on_main_thread()) {
    // No signal's handler runs here: another thread has set it, as a class. Of what the code itself
    // has raised the class is kept too, without its arguments: no more can be set.
    PyObject* kind = reinterpret_cast<PyObject*>(Py_TYPE(exception.get()));
    if (PyThreadState_SetAsyncExc(PyThread_get_thread_ident(), kind) == 1) return true;
  } else if (Py_AddPendingCall(raise_now, exception.get()) == 0) {  // as handlers: main thread only
    static_cast<void>(exception.release());
    return true;
  }
  raise(std::move(exception));  // too many are pending
  return false;
}

bool raise_later() {
  if (PyErr_Occurred() == nullptr || PyErr_ExceptionMatches(PyExc_Exception) != 0) return false;
  return raise_soon(take_raised());
}

}  // namespace inferkit
