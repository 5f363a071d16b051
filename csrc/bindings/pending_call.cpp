#include "bindings/pending_call.h"

#include <pthread.h>

#include <memory>
#include <utility>

#include "bindings/errors.h"
#include "bindings/future_end.h"
#include "bindings/notifier.h"
#include "bindings/raised.h"
#include "bindings/results.h"

namespace inferkit {
namespace {

PyTypeObject* the_type = nullptr;

PendingCall* pending(PyObject* self) noexcept { return reinterpret_cast<PendingCall*>(self); }
PyObject* object_of(PendingCall* call) noexcept { return reinterpret_cast<PyObject*>(call); }

// Gives the answer to the future, which calls its callbacks. An exception that is left set is
// theirs, and no Exception: concurrent.futures logs those itself.
void resolve(PendingCall* call) {
  EngineRequest* request = std::exchange(call->request, nullptr);
  const Ref future = Ref::steal(std::exchange(call->future, nullptr));
  Ref result;
  if (request->state() == RequestState::done) {
    result = Ref::steal(make_result(call->session, request, call->outputs));
  } else {
    raise_request_error(call->session, *request);
  }
  call->session->engine->release(request);
  if (!result) result = take_raised();
  end_future(future.get(), result.get(), call->session->engine);
}

// Threads: wake() from any; run() on the notifier.
class FutureSink final : public EngineSink, private Errand {
 public:
  void wake() noexcept override { Notifier::ask(*this); }

 private:
  void run() override {
    EngineRequest* request = answers.drain();
    while (request != nullptr) {
      EngineRequest* following = request->next;
      const Ref call = Ref::steal(object_of(static_cast<PendingCall*>(request->user)));
      resolve(pending(call.get()));
      if (PyErr_Occurred() != nullptr) PyErr_WriteUnraisable(call.get());
      // A callback has forked: the parent calls the others.
      if (pending(call.get())->session->engine->forked()) return;
      request = following;
    }
  }
};

FutureSink* the_sink = nullptr;  // with the GIL

// The parent's answers are not ours, and one of its threads may have been adding another.
void forget_in_child() { the_sink = nullptr; }

// True: it was still queued, and is now withdrawn.
PyObject* cancel(PyObject* self, PyObject* /*unused*/) {
  PendingCall* call = pending(self);
  if (call->request == nullptr) Py_RETURN_FALSE;
  Engine& engine = *call->session->engine;
  if (!engine.cancel(call->request, false)) Py_RETURN_FALSE;
  engine.release(std::exchange(call->request, nullptr));
  const Ref future = Ref::steal(std::exchange(call->future, nullptr));
  Py_DECREF(self);  // the sink's; the caller has its own
  end_cancelled_future(future.get(), call->session->engine);
  if (PyErr_Occurred() != nullptr) return nullptr;
  Py_RETURN_TRUE;
}

PyObject* running(PyObject* self, PyObject* /*unused*/) {
  const EngineRequest* request = pending(self)->request;
  const bool left_queue = request != nullptr && request->state() != RequestState::queued;
  return PyBool_FromLong(left_queue ? 1 : 0);
}

PyObject* forked(PyObject* self, PyObject* /*unused*/) {
  return PyBool_FromLong(pending(self)->session->engine->forked() ? 1 : 0);
}

// Every call there is. The GIL guards it, which the thread that forks has.
PendingCall* newest_call = nullptr;

void link(PendingCall* call) {
  call->older = newest_call;
  if (newest_call != nullptr) newest_call->newer = call;
  newest_call = call;
}

void unlink(const PendingCall* call) {
  (call->newer == nullptr ? newest_call : call->newer->older) = call->older;
  if (call->older != nullptr) call->older->newer = call->newer;
}

PyObject* future_conditions(PyObject* /*module*/, PyObject* /*unused*/) {
  Ref all = Ref::steal(PyList_New(0));
  for (const PendingCall* call = newest_call; all && call != nullptr; call = call->older) {
    if (PyList_Append(all.get(), call->condition) < 0) return nullptr;
  }
  return all.release();
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(reinterpret_cast<PyObject*>(pending(self)->session));
  Py_VISIT(pending(self)->future);
  Py_VISIT(pending(self)->condition);
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(pending(self)->future);
  return 0;
}

void dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PendingCall* call = pending(self);
  PyObject_GC_UnTrack(self);
  clear(self);
  if (call->condition != nullptr) unlink(call);
  Py_CLEAR(call->condition);
  std::destroy_at(&call->outputs);
  Py_XDECREF(reinterpret_cast<PyObject*>(call->session));
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef kMethods[] = {
    {"cancel", cancel, METH_NOARGS,
     "cancel(self) -> bool\n\nTake the request back if it is still queued, and end the future."},
    {"running", running, METH_NOARGS,
     "running(self) -> bool\n\nWhether it is too late to take the request back, and the future "
     "has no answer yet."},
    {"forked", forked, METH_NOARGS,
     "forked(self) -> bool\n\nWhether an answer that is not here yet will come in the parent "
     "process only."},
    {nullptr, nullptr, 0, nullptr}};

PyMethodDef kFunctions[] = {
    {"future_conditions", future_conditions, METH_NOARGS,
     "future_conditions() -> list[typing.Any]\n\n"
     "The threading.Condition of every inferkit.Future, for the child of a fork: a thread of the\n"
     "parent may have been inside one."},
    {nullptr, nullptr, 0, nullptr}};

constexpr const char* kDoc = "The native half of inferkit.Future.";

PyType_Slot kSlots[] = {{Py_tp_doc, const_cast<char*>(kDoc)},
                        {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
                        {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
                        {Py_tp_clear, reinterpret_cast<void*>(clear)},
                        {Py_tp_methods, kMethods},
                        {0, nullptr}};

PyType_Spec kSpec = {"inferkit._core.PendingCall", sizeof(PendingCall), 0,
                     Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                     kSlots};

}  // namespace

PendingCall* new_pending_call(SessionObject* session, PyObject* future) {
  PendingCall* call = pending(the_type->tp_alloc(the_type, 0));
  if (call == nullptr) return nullptr;
  Py_INCREF(object_of(session));
  call->session = session;
  call->future = Py_NewRef(future);
  std::construct_at(&call->outputs);
  static PyObject* name = nullptr;
  if (name == nullptr) name = PyUnicode_InternFromString("_condition");
  call->condition = name == nullptr ? nullptr : PyObject_GetAttr(future, name);
  if (call->condition != nullptr) {
    link(call);
    return call;
  }
  Py_DECREF(object_of(call));
  return nullptr;
}

EngineSink& future_sink() {
  static const int fork_hook = pthread_atfork(nullptr, nullptr, forget_in_child);
  static_cast<void>(fork_hook);
  if (the_sink == nullptr) the_sink = new FutureSink;
  return *the_sink;
}

bool add_pending_call(PyObject* module) {
  the_type = reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &kSpec, nullptr));
  return the_type != nullptr && PyModule_AddType(module, the_type) == 0 &&
         PyModule_AddFunctions(module, kFunctions) == 0;
}

}  // namespace inferkit
