#include "bindings/coroutine.h"

#include <structmember.h>

#include <cstddef>
#include <memory>
#include <utility>

#include "bindings/coroutine_future.h"
#include "bindings/coroutine_memory.h"
#include "bindings/coroutine_start.h"
#include "bindings/raised.h"

namespace inferkit {
namespace {

PyTypeObject* the_type = nullptr;

constexpr const char* kName = "run_async";
constexpr const char* kQualifiedName = "Session.run_async";

// ---- the coroutine protocol ------------------------------------------------------------------

bool refuse_reuse(const char* reason) {
  PyErr_SetString(PyExc_RuntimeError, reason);
  return false;
}

bool may_send(const RunCoroutine* coroutine, PyObject* value) {
  if (coroutine->running) {
    PyErr_SetString(PyExc_ValueError, "coroutine already executing");
    return false;
  }
  switch (coroutine->progress) {
    case Progress::created:
      if (value == Py_None) return true;
      PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
      return false;
    case Progress::waiting:
    case Progress::in_flight:
      return refuse_reuse("coroutine is being awaited already");
    case Progress::answered:
      return true;
    default:
      return refuse_reuse("cannot reuse already awaited coroutine");
  }
}

PySendResult am_send(PyObject* self, PyObject* value, PyObject** result) {
  RunCoroutine* coroutine = coroutine_of(self);
  *result = nullptr;
  if (!may_send(coroutine, value)) return PYGEN_ERROR;
  if (coroutine->progress == Progress::created) {
    coroutine->running = true;
    const bool started = start(coroutine);
    coroutine->running = false;
    release_arguments(coroutine);
    if (!started) {
      coroutine->progress = Progress::finished;
      return PYGEN_ERROR;
    }
  }
  if (coroutine->progress == Progress::answered) return finish(coroutine, result);
  coroutine->blocking = true;
  *result = Py_NewRef(self);
  return PYGEN_NEXT;
}

PyObject* send(PyObject* self, PyObject* value) {
  PyObject* result = nullptr;
  if (am_send(self, value, &result) != PYGEN_RETURN) return result;
  const Ref returned = Ref::steal(result);
  const Ref stop_iteration = Ref::steal(PyObject_CallOneArg(PyExc_StopIteration, result));
  if (stop_iteration) PyErr_SetObject(PyExc_StopIteration, stop_iteration.get());
  return nullptr;
}

PyObject* iternext(PyObject* self) { return send(self, Py_None); }

// A new reference from throw()'s arguments: an instance, or a class with value and traceback.
Ref exception_of(PyObject* const* args, Py_ssize_t nargs) {
  if (nargs < 1 || nargs > 3) {
    PyErr_SetString(PyExc_TypeError, "throw() takes one to three arguments");
    return {};
  }
  Ref exception = Ref::borrow(args[0]);
  if (PyExceptionClass_Check(args[0])) {
    PyObject* value = nargs > 1 && args[1] != Py_None ? args[1] : nullptr;
    exception = value != nullptr && PyExceptionInstance_Check(value) ? Ref::borrow(value)
                : value != nullptr ? Ref::steal(PyObject_CallOneArg(args[0], value))
                                   : Ref::steal(PyObject_CallNoArgs(args[0]));
  }
  if (!exception) return {};
  if (!PyExceptionInstance_Check(exception.get())) {
    PyErr_SetString(PyExc_TypeError,
                    "exceptions must be classes or instances deriving from BaseException");
    return {};
  }
  const bool traced = nargs == 3 && args[2] != Py_None;
  if (traced && PyException_SetTraceback(exception.get(), args[2]) < 0) return {};
  return exception;
}

PyObject* throw_in(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  RunCoroutine* coroutine = coroutine_of(self);
  if (coroutine->running) {
    PyErr_SetString(PyExc_ValueError, "coroutine already executing");
    return nullptr;
  }
  if (coroutine->progress == Progress::finished) {
    static_cast<void>(refuse_reuse("cannot reuse already awaited coroutine"));
    return nullptr;
  }
  Ref exception = exception_of(args, nargs);
  if (!exception) return nullptr;
  // A task throws in what result() raised: then the answer was taken.
  if (coroutine->error == exception.get()) coroutine->owed = false;
  stop(coroutine);
  raise(std::move(exception));
  return nullptr;
}

PyObject* close(PyObject* self, PyObject* /*unused*/) {
  RunCoroutine* coroutine = coroutine_of(self);
  if (coroutine->running) {
    PyErr_SetString(PyExc_ValueError, "coroutine already executing");
    return nullptr;
  }
  stop(coroutine);
  Py_RETURN_NONE;
}

PyObject* await(PyObject* self) {
  const RunCoroutine* coroutine = coroutine_of(self);
  if (coroutine->progress == Progress::created) return Py_NewRef(self);
  const bool over = coroutine->progress == Progress::finished;
  static_cast<void>(refuse_reuse(over ? "cannot reuse already awaited coroutine"
                                      : "coroutine is being awaited already"));
  return nullptr;
}

// ---- the object ------------------------------------------------------------------------------

int traverse(PyObject* self, visitproc visit, void* arg) {
  const RunCoroutine* coroutine = coroutine_of(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(object_of(coroutine->session));
  for (PyObject* owned : {coroutine->call.feeds, coroutine->call.outputs, coroutine->refusal,
                          coroutine->timer, coroutine->callback, coroutine->context,
                          coroutine->more, coroutine->result, coroutine->error}) {
    Py_VISIT(owned);
  }
  return 0;
}

int clear(PyObject* self) {
  RunCoroutine* coroutine = coroutine_of(self);
  release_arguments(coroutine);
  Py_CLEAR(coroutine->timer);
  Py_CLEAR(coroutine->callback);
  Py_CLEAR(coroutine->context);
  Py_CLEAR(coroutine->more);
  Py_CLEAR(coroutine->result);
  Py_CLEAR(coroutine->error);
  return 0;
}

void warn_if_never_awaited(const RunCoroutine* coroutine) {
  if (coroutine->progress != Progress::created) return;
  const RaisedAside aside;
  if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine '%s' was never awaited",
                       kQualifiedName) < 0) {
    PyErr_WriteUnraisable(nullptr);
  }
}

void dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  RunCoroutine* coroutine = coroutine_of(self);
  PyObject_GC_UnTrack(self);
  warn_if_never_awaited(coroutine);
  if (coroutine->weakrefs != nullptr) PyObject_ClearWeakRefs(self);
  if (coroutine->progress == Progress::answered) drop_answer(coroutine);
  clear(self);
  delete coroutine->feeds;
  std::destroy_at(&coroutine->outputs);
  Py_XDECREF(object_of(coroutine->session));
  coroutine_memory::give_back(self);
  Py_DECREF(type);
}

PyObject* repr(PyObject* self) {
  static constexpr const char* kStates[] = {"not awaited", "waiting for room", "in flight",
                                            "answered", "finished"};
  const auto state = static_cast<std::size_t>(coroutine_of(self)->progress);
  return PyUnicode_FromFormat("<coroutine %s, %s, at %p>", kQualifiedName, kStates[state], self);
}

PyObject* get_name(PyObject* /*self*/, void* name) {
  return PyUnicode_FromString(static_cast<const char*>(name));
}
PyObject* get_none(PyObject* /*self*/, void* /*unused*/) { Py_RETURN_NONE; }
PyObject* get_running(PyObject* self, void* /*unused*/) {
  return PyBool_FromLong(coroutine_of(self)->running ? 1 : 0);
}
PyObject* get_suspended(PyObject* self, void* /*unused*/) {
  const Progress progress = coroutine_of(self)->progress;
  return PyBool_FromLong(progress != Progress::created && progress != Progress::finished ? 1 : 0);
}

// ---- the type --------------------------------------------------------------------------------

template <class Function>
PyCFunction method(Function function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef kMethods[] = {
    {"add_done_callback", method(coroutine_future::add_done_callback),
     METH_FASTCALL | METH_KEYWORDS,
     "add_done_callback(self, callback: object, *, context: object = None) -> None"},
    {"send", send, METH_O, "send(self, value: None) -> object"},
    {"throw", method(throw_in), METH_FASTCALL, "throw(self, exception: BaseException) -> object"},
    {"close", close, METH_NOARGS, "close(self) -> None"},
    {"get_loop", coroutine_future::get_loop, METH_NOARGS,
     "get_loop(self) -> asyncio.AbstractEventLoop"},
    {"remove_done_callback", coroutine_future::remove_done_callback, METH_O,
     "remove_done_callback(self, callback: object) -> int"},
    {"cancel", method(coroutine_future::cancel), METH_FASTCALL | METH_KEYWORDS,
     "cancel(self, msg: object = None) -> bool"},
    {"cancelled", coroutine_future::cancelled, METH_NOARGS, "cancelled(self) -> bool"},
    {"done", coroutine_future::done, METH_NOARGS, "done(self) -> bool"},
    {"result", coroutine_future::result, METH_NOARGS, "result(self) -> Result"},
    {"exception", coroutine_future::exception, METH_NOARGS,
     "exception(self) -> BaseException | None"},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef kProperties[] = {
    {"_asyncio_future_blocking", coroutine_future::get_blocking, coroutine_future::set_blocking,
     nullptr, nullptr},
    {"__name__", get_name, nullptr, nullptr, const_cast<char*>(kName)},
    {"__qualname__", get_name, nullptr, nullptr, const_cast<char*>(kQualifiedName)},
    {"cr_running", get_running, nullptr, nullptr, nullptr},
    {"cr_suspended", get_suspended, nullptr, nullptr, nullptr},
    {"cr_await", get_none, nullptr, nullptr, nullptr},
    {"cr_code", get_none, nullptr, nullptr, nullptr},
    {"cr_frame", get_none, nullptr, nullptr, nullptr},
    {"cr_origin", get_none, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef kMembers[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(RunCoroutine, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

constexpr const char* kDoc =
    "What Session.run_async() returns: await it, or hand it to asyncio.create_task() and the\n"
    "like, once. Nothing is queued before that.";

PyType_Slot kSlots[] = {{Py_tp_doc, const_cast<char*>(kDoc)},
                        {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
                        {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
                        {Py_tp_clear, reinterpret_cast<void*>(clear)},
                        {Py_tp_repr, reinterpret_cast<void*>(repr)},
                        {Py_tp_iter, reinterpret_cast<void*>(PyObject_SelfIter)},
                        {Py_tp_iternext, reinterpret_cast<void*>(iternext)},
                        {Py_tp_getattro, reinterpret_cast<void*>(coroutine_future::getattro)},
                        {Py_tp_setattro, reinterpret_cast<void*>(coroutine_future::setattro)},
                        {Py_am_await, reinterpret_cast<void*>(await)},
                        {Py_am_send, reinterpret_cast<void*>(am_send)},
                        {Py_tp_methods, kMethods},
                        {Py_tp_getset, kProperties},
                        {Py_tp_members, kMembers},
                        {0, nullptr}};

PyType_Spec kSpec = {"inferkit._core.RunCoroutine", sizeof(RunCoroutine), 0,
                     Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                     kSlots};

}  // namespace

bool add_coroutine(PyObject* module) {
  if (!coroutine_future::intern_names(&kMethods[0])) return false;
  the_type = reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &kSpec, nullptr));
  if (the_type == nullptr || PyModule_AddType(module, the_type) < 0) return false;
  const Ref abc = Ref::steal(PyImport_ImportModule("collections.abc"));
  const Ref base = abc ? Ref::steal(PyObject_GetAttrString(abc.get(), "Coroutine")) : Ref();
  return base && Ref::steal(PyObject_CallMethod(base.get(), "register", "O", the_type));
}

RunCoroutine* new_coroutine(SessionObject* session) {
  RunCoroutine* coroutine = coroutine_of(coroutine_memory::take(the_type));
  if (coroutine == nullptr) return nullptr;
  Py_INCREF(object_of(session));
  coroutine->session = session;
  coroutine->call = {};
  std::construct_at(&coroutine->outputs);
  return coroutine;
}

}  // namespace inferkit
