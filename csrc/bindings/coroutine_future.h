// What asyncio's tasks see of a suspended RunCoroutine: the protocol of asyncio.Future.
#pragma once

#include <Python.h>

#include "bindings/coroutine.h"

namespace inferkit {

// Calls the callbacks in their contexts, which lets a task take its next step. False with a
// BaseException set that is no Exception; those went to the loop's exception handler.
[[nodiscard]] bool resume(RunCoroutine* coroutine);
// The same through loop.call_soon(), as asyncio.Future does it.
void resume_soon(RunCoroutine* coroutine);

// For the type's tables.
namespace coroutine_future {
PyObject* get_blocking(PyObject* self, void* unused);
int set_blocking(PyObject* self, PyObject* value, void* unused);
PyObject* get_loop(PyObject* self, PyObject* unused);
PyObject* add_done_callback(PyObject* self, PyObject* const* args, Py_ssize_t nargs,
                            PyObject* kwnames);
PyObject* remove_done_callback(PyObject* self, PyObject* callback);
PyObject* cancel(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames);
PyObject* cancelled(PyObject* self, PyObject* unused);
PyObject* done(PyObject* self, PyObject* unused);
PyObject* result(PyObject* self, PyObject* unused);
PyObject* exception(PyObject* self, PyObject* unused);
// What a task asks for at every await is found by the address of its name, without a lookup.
// `callback_adder`: add_done_callback's row in the table of methods. Once, before the rest.
[[nodiscard]] bool intern_names(PyMethodDef* callback_adder);
PyObject* getattro(PyObject* self, PyObject* name);
int setattro(PyObject* self, PyObject* name, PyObject* value);
}  // namespace coroutine_future

}  // namespace inferkit
