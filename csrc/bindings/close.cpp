#include "bindings/close.h"

#include <Python.h>

#include "bindings/call_args.h"
#include "bindings/gil.h"
#include "bindings/loop_ports.h"
#include "bindings/main_thread.h"
#include "bindings/session.h"

namespace inferkit {
namespace {

// Until everything is answered or `end` has come. False with an exception set: a signal handler
// raised, as Ctrl-C does. The session stays half closed then, and may be closed again.
bool drain_until(Engine& engine, TimeNs end) {
  while (true) {
    const TimeNs until = slice_end(engine.clock(), end);
    {
      const ReleaseGil released;
      if (engine.drain(until)) return true;
    }
    if (PyErr_CheckSignals() < 0) return false;
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
  if (drain != 0 && !drain_until(*engine, end)) return nullptr;
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
    "        SessionClosedError at once; those in a running batch get their answer.\n"
    "    timeout: Seconds to drain at most; then as with drain=False. Default: no limit."};

}  // namespace

bool add_close() { return add_session_method(kClose); }

}  // namespace inferkit
