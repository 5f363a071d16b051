#include "bindings/close.h"

#include <Python.h>

#include "bindings/call_args.h"
#include "bindings/gil.h"
#include "bindings/loop_ports.h"
#include "bindings/main_thread.h"
#include "bindings/session.h"

namespace inferkit {
namespace {

// Until `step` says that it is done or `end` has come. False with an exception set: a signal
// handler raised, as Ctrl-C does. The session stays half closed then, and may be closed again.
bool wait_for(Engine& engine, bool (Engine::*step)(TimeNs), TimeNs end) {
  while (true) {
    const TimeNs until = slice_end(engine.clock(), end);
    {
      const ReleaseGil released;
      if ((engine.*step)(until)) return true;
    }
    if (!look_up()) return false;
    if (engine.clock().now() >= end) return true;
  }
}

PyObject* close(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"drain", "timeout", nullptr};
  int drain = 1;
  PyObject* timeout = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|pO:close", const_cast<char**>(names), &drain,
                                   &timeout)) {
    return nullptr;
  }
  // A share of our own: Python code may drop the session while we wait.
  const std::shared_ptr<Engine> engine = session_of(self)->engine;
  if (engine == nullptr || engine->forked()) Py_RETURN_NONE;
  TimeNs end = kNever;
  if (!read_timeout(timeout, engine->clock(), end)) return nullptr;
  if (drain != 0 && !wait_for(*engine, &Engine::drain, end)) return nullptr;
  {
    const ReleaseGil released;
    engine->answer_queued();
  }
  if (!wait_for(*engine, &Engine::await_runs, end)) return nullptr;
  if (engine->clock().now() >= end) {
    const ReleaseGil released;
    engine->stop_runs();
  }
  if (!wait_for(*engine, &Engine::await_runs, kNever)) return nullptr;
  {
    const ReleaseGil released;
    engine->close(false, 0);
  }
  leave_event_loops(session_of(self));
  Py_RETURN_NONE;
}

PyMethodDef kClose = {
    "close", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(close)),
    METH_VARARGS | METH_KEYWORDS,
    "close(self, drain: bool = True, timeout: float | None = None) -> None\n\n"
    "Refuse new requests, finish or answer the accepted ones, stop the threads, free the model.\n\n"
    "Closing twice is fine. In a child of fork() it does nothing: the session is the parent's.\n\n"
    "Args:\n"
    "    drain: Wait for the accepted requests. False answers the queued ones with\n"
    "        SessionClosedError at once, and waits for those in a running batch.\n"
    "    timeout: Seconds to wait at most. Then whoever has no answer gets SessionClosedError: "
    "the\n"
    "        queued ones at once, those in a running batch as soon as the operator ends that the\n"
    "        model is in, which nothing can interrupt. Default: no limit.\n\n"
    "Raises:\n"
    "    KeyboardInterrupt: Or whatever else a signal handler raises on the main thread. New\n"
    "        requests stay refused; call it again to finish."};

}  // namespace

bool add_close() { return add_session_method(kClose); }

}  // namespace inferkit
