#include "bindings/coroutine_future.h"

#include <utility>

#include "bindings/event_loop.h"
#include "bindings/loop_port.h"
#include "bindings/main_thread.h"
#include "bindings/raised.h"
#include "bindings/task_wakeup.h"

namespace inferkit {
namespace {

bool is_done(const RunCoroutine* coroutine) noexcept {
  return coroutine->progress >= Progress::answered;
}

// Calls callback(coroutine) in `context`. False with an exception set.
bool call_in(PyObject* context, PyObject* callback, RunCoroutine* coroutine) {
  if (PyContext_Enter(context) < 0) {
    // Somebody runs the loop inside of the task's own context: then the loop does it.
    PyErr_Clear();
    return event_loop::call_soon(coroutine->port->loop(), callback, object_of(coroutine), context);
  }
  // An error is thrown in by the task, which learns of it from the coroutine's result().
  const EngineRequest* request = coroutine->request;
  const bool good = request != nullptr && request->state() == RequestState::done;
  PyObject* self = object_of(coroutine);
  PyObject* argument = good ? wakeup_argument(callback, self) : self;
  const Ref done = Ref::steal(PyObject_CallOneArg(callback, argument));
  const RaisedAside aside;
  if (PyContext_Exit(context) < 0) PyErr_WriteUnraisable(context);
  return static_cast<bool>(done);
}

// After a callback failed: true when the loop's handler was told.
bool handed_to_loop(RunCoroutine* coroutine, PyObject* callback) {
  if (PyErr_ExceptionMatches(PyExc_Exception) == 0) return false;
  PyObject* loop = coroutine->port->loop();
  if (loop == nullptr) {
    PyErr_WriteUnraisable(callback);
  } else {
    event_loop::report(loop, callback, object_of(coroutine));
  }
  return true;
}

// Calls `use(callback, context)` for each callback, which are forgotten. False where one was.
template <class Use>
bool take_callbacks(RunCoroutine* coroutine, Use use) {
  const Ref callback = Ref::steal(std::exchange(coroutine->callback, nullptr));
  const Ref context = Ref::steal(std::exchange(coroutine->context, nullptr));
  const Ref more = Ref::steal(std::exchange(coroutine->more, nullptr));
  bool fine = !callback || use(callback.get(), context.get());
  for (Py_ssize_t i = 0; more && i < PyList_GET_SIZE(more.get()); ++i) {
    const RaisedAside aside;
    PyObject* pair = PyList_GET_ITEM(more.get(), i);
    if (use(PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1))) continue;
    if (!fine) PyErr_WriteUnraisable(pair);
    fine = false;
  }
  return fine;
}

// The one keyword argument of a method, or null; false with TypeError set.
bool read_keyword(const char* method, const char* name, PyObject* const* values, PyObject* kwnames,
                  PyObject** value) {
  const Py_ssize_t count = kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames);
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* given = PyTuple_GET_ITEM(kwnames, i);
    if (PyUnicode_CompareWithASCIIString(given, name) != 0) {
      PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", method, given);
      return false;
    }
    *value = values[i];
  }
  return true;
}

Ref asyncio_class(const char* name) {
  const Ref module = Ref::steal(PyImport_ImportModule("asyncio.exceptions"));
  return module ? Ref::steal(PyObject_GetAttrString(module.get(), name)) : Ref();
}

Ref cancelled_error(PyObject* message) {
  const Ref type = asyncio_class("CancelledError");
  if (!type) return {};
  return Ref::steal(message == nullptr || message == Py_None
                        ? PyObject_CallNoArgs(type.get())
                        : PyObject_CallOneArg(type.get(), message));
}

bool refuse_unless_done(RunCoroutine* coroutine) {
  if (is_done(coroutine)) return true;
  const Ref type = asyncio_class("InvalidStateError");
  if (type) PyErr_SetString(type.get(), "the answer is not there yet");
  return false;
}

PyObject* the_blocking = nullptr;  // interned, as asyncio's own names are
PyObject* the_loop_getter = nullptr;
PyObject* the_callback_adder = nullptr;
PyMethodDef* the_adder = nullptr;  // what the last one stands for

bool append_callback(RunCoroutine* coroutine, PyObject* callback, Ref context) {
  if (coroutine->callback == nullptr && coroutine->more == nullptr) {
    coroutine->callback = Py_NewRef(callback);
    coroutine->context = context.release();
    return true;
  }
  if (coroutine->more == nullptr) coroutine->more = PyList_New(0);
  const Ref pair = Ref::steal(PyTuple_Pack(2, callback, context.get()));
  return coroutine->more != nullptr && pair && PyList_Append(coroutine->more, pair.get()) == 0;
}

}  // namespace

bool resume(RunCoroutine* coroutine) {
  return take_callbacks(coroutine, [coroutine](PyObject* callback, PyObject* context) {
    return call_in(context, callback, coroutine) || handed_to_loop(coroutine, callback);
  });
}

void resume_soon(RunCoroutine* coroutine) {
  PyObject* loop = coroutine->port->loop();
  const bool fine =
      take_callbacks(coroutine, [coroutine, loop](PyObject* callback, PyObject* context) {
        return loop == nullptr ||
               event_loop::call_soon(loop, callback, object_of(coroutine), context);
      });
  if (!fine && !raise_later()) PyErr_WriteUnraisable(object_of(coroutine));
}

namespace coroutine_future {

// None while it is a coroutine that nobody has awaited, or one that is over: then
// asyncio.isfuture() says no and ensure_future() makes a task of it.
PyObject* get_blocking(PyObject* self, void* /*unused*/) {
  const RunCoroutine* coroutine = coroutine_of(self);
  if (coroutine->progress == Progress::created || coroutine->progress == Progress::finished) {
    Py_RETURN_NONE;
  }
  return PyBool_FromLong(coroutine->blocking ? 1 : 0);
}

int set_blocking(PyObject* self, PyObject* value, void* /*unused*/) {
  if (value == nullptr) {
    PyErr_SetString(PyExc_AttributeError, "cannot delete attribute");
    return -1;
  }
  const int truth = PyObject_IsTrue(value);
  if (truth < 0) return -1;
  coroutine_of(self)->blocking = truth != 0;
  return 0;
}

PyObject* get_loop(PyObject* self, PyObject* /*unused*/) {
  const RunCoroutine* coroutine = coroutine_of(self);
  if (coroutine->port != nullptr) return coroutine->port->get_loop();
  PyErr_SetString(PyExc_RuntimeError, "the coroutine was not awaited yet");
  return nullptr;
}

PyObject* add_done_callback(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                            PyObject* kwnames) {
  RunCoroutine* coroutine = coroutine_of(self);
  if (nargs != 1) {
    PyErr_SetString(PyExc_TypeError, "add_done_callback() takes one callback");
    return nullptr;
  }
  PyObject* given = nullptr;
  if (!read_keyword("add_done_callback", "context", args + nargs, kwnames, &given)) return nullptr;
  Ref context = given == nullptr || given == Py_None ? Ref::steal(PyContext_CopyCurrent())
                                                     : Ref::borrow(given);
  if (!context || !append_callback(coroutine, args[0], std::move(context))) return nullptr;
  if (is_done(coroutine) && coroutine->port != nullptr) resume_soon(coroutine);
  Py_RETURN_NONE;
}

PyObject* remove_done_callback(PyObject* self, PyObject* callback) {
  RunCoroutine* coroutine = coroutine_of(self);
  const Ref kept = Ref::steal(PyList_New(0));
  if (!kept) return nullptr;
  Py_ssize_t removed = 0;
  const auto keep_others = [&](PyObject* each, PyObject* context) {
    const int same = PyObject_RichCompareBool(each, callback, Py_EQ);
    removed += same > 0 ? 1 : 0;
    const Ref pair = Ref::steal(PyTuple_Pack(2, each, context));
    return same > 0 || (same == 0 && pair && PyList_Append(kept.get(), pair.get()) == 0);
  };
  // As they were, where a comparison raises.
  Ref callback_before = Ref::borrow(coroutine->callback);
  Ref context_before = Ref::borrow(coroutine->context);
  Ref more_before = Ref::borrow(coroutine->more);
  if (!take_callbacks(coroutine, keep_others)) {
    Py_XSETREF(coroutine->callback, callback_before.release());
    Py_XSETREF(coroutine->context, context_before.release());
    Py_XSETREF(coroutine->more, more_before.release());
    return nullptr;
  }
  if (PyList_GET_SIZE(kept.get()) != 0) Py_XSETREF(coroutine->more, Py_NewRef(kept.get()));
  return PyLong_FromSsize_t(removed);
}

// True: CancelledError is on its way to the task. False: the answer is, and the task, which then
// cancels itself, will throw it in.
PyObject* cancel(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  RunCoroutine* coroutine = coroutine_of(self);
  PyObject* message = nargs > 0 ? args[0] : nullptr;
  if (nargs > 1 || !read_keyword("cancel", "msg", args + nargs, kwnames, &message)) {
    if (PyErr_Occurred() == nullptr) PyErr_SetString(PyExc_TypeError, "cancel() takes msg only");
    return nullptr;
  }
  const Progress progress = coroutine->progress;
  const bool waits = progress == Progress::waiting || progress == Progress::in_flight;
  if (!waits || coroutine->running) Py_RETURN_FALSE;
  Ref error = cancelled_error(message);
  if (!error) return nullptr;
  if (!take_back(coroutine)) Py_RETURN_FALSE;
  coroutine->progress = Progress::answered;
  coroutine->cancelled = true;
  coroutine->error = error.release();
  resume_soon(coroutine);
  Py_RETURN_TRUE;
}

PyObject* cancelled(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(coroutine_of(self)->cancelled ? 1 : 0);
}

PyObject* done(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(is_done(coroutine_of(self)) ? 1 : 0);
}

PyObject* result(PyObject* self, PyObject* /*unused*/) {
  RunCoroutine* coroutine = coroutine_of(self);
  if (!refuse_unless_done(coroutine)) return nullptr;
  if (coroutine->progress == Progress::answered) unpack_answer(coroutine);
  if (coroutine->result != nullptr) return Py_NewRef(coroutine->result);
  if (coroutine->error != nullptr) {
    raise(Ref::borrow(coroutine->error));
    return nullptr;
  }
  PyErr_SetString(PyExc_RuntimeError, "the answer went to whoever awaited the coroutine");
  return nullptr;
}

PyObject* exception(PyObject* self, PyObject* /*unused*/) {
  RunCoroutine* coroutine = coroutine_of(self);
  if (!refuse_unless_done(coroutine)) return nullptr;
  if (coroutine->progress == Progress::answered) unpack_answer(coroutine);
  if (coroutine->cancelled && coroutine->error != nullptr) {
    raise(Ref::borrow(coroutine->error));
    return nullptr;
  }
  return Py_NewRef(coroutine->error == nullptr ? Py_None : coroutine->error);
}

bool intern_names(PyMethodDef* callback_adder) {
  the_adder = callback_adder;
  the_blocking = PyUnicode_InternFromString("_asyncio_future_blocking");
  the_loop_getter = PyUnicode_InternFromString("get_loop");
  the_callback_adder = PyUnicode_InternFromString(the_adder->ml_name);
  return the_blocking != nullptr && the_loop_getter != nullptr && the_callback_adder != nullptr;
}

PyObject* getattro(PyObject* self, PyObject* name) {
  if (name == the_blocking) return get_blocking(self, nullptr);
  if (name == the_callback_adder) return PyCFunction_New(the_adder, self);
  const RunCoroutine* coroutine = coroutine_of(self);
  if (name == the_loop_getter && coroutine->port != nullptr) return coroutine->port->loop_getter();
  return PyObject_GenericGetAttr(self, name);
}

int setattro(PyObject* self, PyObject* name, PyObject* value) {
  if (name == the_blocking) return set_blocking(self, value, nullptr);
  return PyObject_GenericSetAttr(self, name, value);
}

}  // namespace coroutine_future
}  // namespace inferkit
