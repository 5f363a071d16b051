#include "bindings/task_wakeup.h"

#include <cstring>

#include "bindings/ref.h"

namespace inferkit {
namespace {

// The type of asyncio.Future in C, which the wake-up knows by heart; not a subclass, and not the
// one written in Python.
bool is_native(PyObject* future) {
  return std::strcmp(Py_TYPE(future)->tp_name, "_asyncio.Future") == 0;
}

// Of no loop: it asks its loop for the debug flag and nothing else, and nobody waits for it. Empty
// with an exception set.
Ref make_finished() {
  const Ref types = Ref::steal(PyImport_ImportModule("types"));
  const Ref asyncio = Ref::steal(PyImport_ImportModule("asyncio"));
  if (!types || !asyncio) return {};
  const Ref arguments = Ref::steal(PyTuple_New(0));
  const Ref flag =
      Ref::steal(Py_BuildValue("{s:O}", "get_debug", reinterpret_cast<PyObject*>(&PyBool_Type)));
  const Ref space = Ref::steal(PyObject_GetAttrString(types.get(), "SimpleNamespace"));
  const Ref type = Ref::steal(PyObject_GetAttrString(asyncio.get(), "Future"));
  if (!arguments || !flag || !space || !type) return {};
  const Ref no_loop = Ref::steal(PyObject_Call(space.get(), arguments.get(), flag.get()));
  const Ref keywords = no_loop ? Ref::steal(Py_BuildValue("{s:O}", "loop", no_loop.get())) : Ref();
  if (!keywords) return {};
  Ref future = Ref::steal(PyObject_Call(type.get(), arguments.get(), keywords.get()));
  if (!future) return {};
  const Ref set = Ref::steal(PyObject_CallMethod(future.get(), "set_result", "O", Py_None));
  return set ? future : Ref();
}

// Null where this asyncio has none.
PyObject* finished() {
  static bool tried = false;
  static PyObject* future = nullptr;  // lives as long as the process
  if (tried) return future;
  tried = true;
  Ref made = make_finished();
  if (!made) PyErr_Clear();
  if (made && is_native(made.get())) future = made.release();
  return future;
}

bool is_task_wakeup(PyObject* callback) {
  static PyMethodDef* known = nullptr;
  if (!PyCFunction_CheckExact(callback)) return false;
  PyMethodDef* method = reinterpret_cast<PyCFunctionObject*>(callback)->m_ml;
  if (method == known) return true;
  PyObject* task = PyCFunction_GET_SELF(callback);
  if (task == nullptr || std::strcmp(Py_TYPE(task)->tp_name, "_asyncio.Task") != 0 ||
      std::strcmp(method->ml_name, "task_wakeup") != 0) {
    return false;
  }
  known = method;
  return true;
}

}  // namespace

PyObject* wakeup_argument(PyObject* callback, PyObject* future) {
  PyObject* argument = is_task_wakeup(callback) ? finished() : nullptr;
  return argument == nullptr ? future : argument;
}

}  // namespace inferkit
