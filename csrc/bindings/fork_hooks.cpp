#include "bindings/fork_hooks.h"

#include <utility>

#include "base/fork_gate.h"
#include "bindings/gil.h"
#include "bindings/main_thread.h"
#include "bindings/raised.h"
#include "bindings/ref.h"

namespace inferkit {
namespace {

// What a signal's handler or another thread has raised while this one waited to fork. Nobody hands
// it on there: the interpreter drops what a hook raises, be it logging's own that comes next.
constinit thread_local PyObject* held_back = nullptr;  // owned

PyObject* await_loads(PyObject* /*module*/, PyObject* /*unused*/) {
  {
    const ReleaseGil released;
    await_unforked(kForkWait);
  }
  if (!look_up()) Py_XSETREF(held_back, take_raised().release());
  Py_RETURN_NONE;
}

PyObject* raise_held_back(PyObject* /*module*/, PyObject* /*unused*/) {
  Ref exception = Ref::steal(std::exchange(held_back, nullptr));
  if (exception && !raise_soon(std::move(exception))) return nullptr;
  Py_RETURN_NONE;
}

PyObject* drop_held_back(PyObject* /*module*/, PyObject* /*unused*/) {
  Py_CLEAR(held_back);
  Py_RETURN_NONE;
}

PyMethodDef kFunctions[] = {
    {"await_loads", await_loads, METH_NOARGS,
     "await_loads() -> None\n\n"
     "Before a fork: waits until no other thread loads a library or a model, for 10 s at most. "
     "The\n"
     "fork itself does so too, but holds the GIL meanwhile."},
    {"raise_held_back", raise_held_back, METH_NOARGS,
     "raise_held_back() -> None\n\n"
     "After it, in the parent: what a signal's handler has raised meanwhile is raised soon."},
    {"drop_held_back", drop_held_back, METH_NOARGS,
     "drop_held_back() -> None\n\n"
     "After it, in the child: that is the parent's."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

bool add_fork_hooks(PyObject* module) { return PyModule_AddFunctions(module, kFunctions) == 0; }

}  // namespace inferkit
