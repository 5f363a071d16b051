#include "bindings/event_loop.h"

#include "bindings/main_thread.h"
#include "bindings/raised.h"

namespace inferkit::event_loop {
namespace {

// Interned once; names and functions of asyncio live as long as the process.
PyObject* interned(PyObject*& slot, const char* text) {
  if (slot == nullptr) slot = PyUnicode_InternFromString(text);
  return slot;
}

// loop.name(arguments...); empty with an exception set.
template <class... Arguments>
Ref call(PyObject*& slot, const char* name, PyObject* loop, Arguments*... arguments) {
  PyObject* method = interned(slot, name);
  if (method == nullptr) return {};
  PyObject* stack[] = {loop, arguments...};
  return Ref::steal(PyObject_VectorcallMethod(method, stack, 1 + sizeof...(arguments), nullptr));
}

// Borrowed; null without an exception while nobody has imported asyncio, hence runs a loop.
PyObject* get_running_loop() {
  static PyObject* function = nullptr;
  if (function != nullptr) return function;
  const Ref name = Ref::steal(PyUnicode_FromString("asyncio.events"));
  if (!name) return nullptr;
  const Ref events = Ref::steal(PyImport_GetModule(name.get()));
  if (!events) return nullptr;
  return function = PyObject_GetAttrString(events.get(), "_get_running_loop");
}

}  // namespace

Ref running() {
  PyObject* function = get_running_loop();
  Ref loop;
  if (function != nullptr) loop = Ref::steal(PyObject_CallNoArgs(function));
  if (PyErr_Occurred() != nullptr) return {};
  if (loop && loop.get() != Py_None) return loop;
  PyErr_SetString(PyExc_RuntimeError,
                  "run_async() must be awaited while an asyncio event loop runs on this thread; "
                  "elsewhere use run() or submit()");
  return {};
}

bool runs_here(PyObject* loop) {
  const RaisedAside aside;
  const bool here = running().get() == loop;
  if (!raise_later()) PyErr_Clear();
  return here;
}

bool call_soon(PyObject* loop, PyObject* callback) {
  static PyObject* name = nullptr;
  return static_cast<bool>(call(name, "call_soon", loop, callback));
}

bool call_soon(PyObject* loop, PyObject* callback, PyObject* argument, PyObject* context) {
  static PyObject* name = nullptr;
  static PyObject* keywords = nullptr;
  if (interned(name, "call_soon") == nullptr) return false;
  if (keywords == nullptr) keywords = Py_BuildValue("(s)", "context");
  if (keywords == nullptr) return false;
  PyObject* stack[] = {loop, callback, argument, context};
  return static_cast<bool>(Ref::steal(PyObject_VectorcallMethod(name, stack, 3, keywords)));
}

bool call_soon_threadsafe(PyObject* loop, PyObject* callback) {
  static PyObject* name = nullptr;
  return static_cast<bool>(call(name, "call_soon_threadsafe", loop, callback));
}

Ref call_later(PyObject* loop, double seconds, PyObject* callback) {
  static PyObject* name = nullptr;
  const Ref delay = Ref::steal(PyFloat_FromDouble(seconds));
  return delay ? call(name, "call_later", loop, delay.get(), callback) : Ref();
}

void cancel_timer(PyObject* handle) {
  static PyObject* name = nullptr;
  if (!call(name, "cancel", handle) && !raise_later()) PyErr_WriteUnraisable(handle);
}

Watch add_reader(PyObject* loop, int descriptor, PyObject* callback) {
  static PyObject* name = nullptr;
  const Ref number = Ref::steal(PyLong_FromLong(descriptor));
  // The loop copies the current context for the callback: not this caller's, which it would keep.
  const Ref empty = Ref::steal(PyContext_New());
  if (!number || !empty || PyContext_Enter(empty.get()) < 0) return Watch::failed;
  const Ref done = call(name, "add_reader", loop, number.get(), callback);
  {
    const RaisedAside aside;
    if (PyContext_Exit(empty.get()) < 0) PyErr_WriteUnraisable(empty.get());
  }
  if (done) return Watch::watched;
  if (PyErr_ExceptionMatches(PyExc_NotImplementedError) == 0) return Watch::failed;
  PyErr_Clear();
  return Watch::unsupported;
}

void remove_reader(PyObject* loop, int descriptor) {
  static PyObject* name = nullptr;
  const Ref number = Ref::steal(PyLong_FromLong(descriptor));
  const bool fine = number && call(name, "remove_reader", loop, number.get());
  if (!fine && !raise_later()) PyErr_WriteUnraisable(loop);
}

bool is_closed(PyObject* loop) {
  static PyObject* name = nullptr;
  const Ref closed = call(name, "is_closed", loop);
  if (!closed && !raise_later()) PyErr_Clear();
  return closed.get() == Py_True;
}

void report(PyObject* loop, PyObject* callback, PyObject* future) {
  static PyObject* name = nullptr;
  const Ref exception = take_raised();
  const Ref context = Ref::steal(Py_BuildValue(
      "{s:N,s:O,s:O}", "message", PyUnicode_FromFormat("Exception in callback %R", callback),
      "exception", exception.get(), "future", future));
  const bool told = context && call(name, "call_exception_handler", loop, context.get());
  if (!told && !raise_later()) PyErr_WriteUnraisable(callback);
}

// CPython has no function that tells the current context rather than a copy of it.
OutsideOfContext::OutsideOfContext() : context_(Ref::borrow(PyThreadState_Get()->context)) {
  if (!context_ || PyContext_Exit(context_.get()) == 0) return;
  PyErr_Clear();
  context_ = Ref();
}

OutsideOfContext::~OutsideOfContext() {
  if (!context_) return;
  const RaisedAside aside;
  if (PyContext_Enter(context_.get()) < 0) PyErr_WriteUnraisable(context_.get());
}

}  // namespace inferkit::event_loop
