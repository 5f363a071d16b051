#include "bindings/fork_hooks.h"

#include <algorithm>
#include <utility>

#include "base/fork_gate.h"
#include "bindings/gil.h"
#include "bindings/main_thread.h"
#include "bindings/raised.h"
#include "bindings/ref.h"

namespace inferkit {
namespace {

// What a signal's handler or another thread has raised while this one waited to fork. Nobody hands
// it on there: the interpreter drops what a hook raises, and what is raised within one.
constinit thread_local PyObject* held_back = nullptr;  // owned
constinit thread_local long held_for = 0;              // the hook that is to raise it
constinit thread_local int forking = 0;  // a hook of somebody else's may fork in its turn

constinit long hooks = 0;  // registered so far; under the GIL

// number: which of the hooks this is.
PyObject* raise_held_back(PyObject* number, PyObject* /*unused*/) {
  if (held_back == nullptr || forking != 0 || PyLong_AsLong(number) != held_for) Py_RETURN_NONE;
  if (!raise_soon(Ref::steal(std::exchange(held_back, nullptr)))) return nullptr;
  Py_RETURN_NONE;
}

PyMethodDef kRaiseHeldBack = {"raise_held_back", raise_held_back, METH_NOARGS, nullptr};

// The hook that raises it has to be the last of all, or it would be raised within the next one.
// They run in the order in which they are registered; so now, and once more the next time, when the
// older ones do nothing. Python forgets none: whatever is held back leaves a few objects for good.
bool raise_it_last() {
  const Ref os = Ref::steal(PyImport_ImportModule("os"));
  if (!os) return false;
  const Ref put_in = Ref::steal(PyObject_GetAttrString(os.get(), "register_at_fork"));
  const Ref number = Ref::steal(PyLong_FromLong(++hooks));
  if (!number) return false;
  held_for = hooks;
  const Ref hook = Ref::steal(PyCFunction_New(&kRaiseHeldBack, number.get()));
  const Ref none = Ref::steal(PyTuple_New(0));
  if (!put_in || !hook || !none) return false;
  const Ref named = Ref::steal(Py_BuildValue("{s:O}", "after_in_parent", hook.get()));
  return named && Ref::steal(PyObject_Call(put_in.get(), none.get(), named.get()));
}

PyObject* await_loads(PyObject* /*module*/, PyObject* /*unused*/) {
  ++forking;
  // Where nobody is inside the GIL is kept: a signal may come while it comes back.
  if (!await_unforked(0)) Py_RETURN_NONE;
  {
    const ReleaseGil released;
    static_cast<void>(await_unforked(kForkWait));
  }
  if (look_up()) Py_RETURN_NONE;
  Ref exception = take_raised();
  if (!raise_it_last()) return nullptr;  // no memory, no stack: that is shown, the other lost
  Py_XSETREF(held_back, exception.release());
  Py_RETURN_NONE;
}

PyObject* let_loads_in(PyObject* /*module*/, PyObject* /*unused*/) {
  forking = std::max(0, forking - 1);
  give_fork_up();
  Py_RETURN_NONE;
}

PyObject* drop_held_back(PyObject* /*module*/, PyObject* /*unused*/) {
  Py_CLEAR(held_back);
  forking = 0;
  Py_RETURN_NONE;
}

PyMethodDef kFunctions[] = {
    {"await_loads", await_loads, METH_NOARGS,
     "await_loads() -> None\n\n"
     "Before a fork: lets no other thread begin to load a library or a model until this one has\n"
     "forked, and waits for those that do, for 10 s at most. The fork itself does so too, but "
     "holds\n"
     "the GIL meanwhile. What a signal's handler raises here is raised when the fork is over."},
    {"let_loads_in", let_loads_in, METH_NOARGS,
     "let_loads_in() -> None\n\n"
     "After a fork, in the parent: others may load again also where it failed before it began."},
    {"drop_held_back", drop_held_back, METH_NOARGS,
     "drop_held_back() -> None\n\n"
     "After a fork, in the child: what a signal's handler raised before it is the parent's."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

bool add_fork_hooks(PyObject* module) { return PyModule_AddFunctions(module, kFunctions) == 0; }

}  // namespace inferkit
