#include "bindings/coroutine_start.h"

#include <new>
#include <utility>

#include "bindings/errors.h"
#include "bindings/feeds.h"
#include "bindings/loop_port.h"
#include "bindings/loop_ports.h"
#include "bindings/raised.h"

namespace inferkit {
namespace {

// False with an exception set, or when there is no room now.
bool admit_if_there_is_room(RunCoroutine* coroutine, Feeds& feeds) {
  LoopPort* port = coroutine->port;
  if (port->has_waiters()) {  // they were first
    // Not yet at the engine's door, which would say so: bad input has its error before it waits.
    static_cast<void>(feeds.check_shapes(coroutine->session));
    return false;
  }
  const auto admit = [&] {
    return feeds.admit(coroutine->session, coroutine->call, port, coroutine, IfFull::announce);
  };
  EngineRequest* request = admit();
  if (request == nullptr && PyErr_Occurred() == nullptr) {
    // Whatever room is made from now on wakes the port; what was made before is found here.
    port->expect_room();
    request = admit();
  }
  if (request == nullptr) return false;
  port->send_off(coroutine, request, true);
  return true;
}

bool start_or_wait(RunCoroutine* coroutine, Feeds& feeds) {
  if (admit_if_there_is_room(coroutine, feeds)) return true;
  if (PyErr_Occurred() != nullptr || !feeds.keep()) return false;
  coroutine->feeds = new (std::nothrow) Feeds(std::move(feeds));
  if (coroutine->feeds == nullptr) {
    PyErr_NoMemory();
    return false;
  }
  return coroutine->port->join_line(coroutine);
}

// For what a coroutine function would raise: known at the call, told where it is awaited.
bool refuse_later(RunCoroutine* coroutine) {
  const bool wrong_call = PyErr_ExceptionMatches(PyExc_TypeError) != 0;
  if (wrong_call || PyErr_ExceptionMatches(PyExc_Exception) == 0) return false;
  coroutine->refusal = take_raised().release();
  return true;
}

PyObject* run_async(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  SessionObject* session = session_of(self);
  RunCoroutine* coroutine = new_coroutine(session);
  if (coroutine == nullptr) return nullptr;
  CallArgs call;
  if (parse_call(session, args, nargs, kwnames, call)) {
    coroutine->call = call;
    Py_XINCREF(call.feeds);
    Py_XINCREF(call.outputs);
  } else if (!refuse_later(coroutine)) {
    coroutine->progress = Progress::finished;
    Py_DECREF(object_of(coroutine));
    return nullptr;
  }
  return object_of(coroutine);
}

PyMethodDef kRunAsync = {
    "run_async", fast_method<run_async>(), METH_FASTCALL | METH_KEYWORDS,
    "run_async(self, feeds: collections.abc.Mapping[str, numpy.typing.ArrayLike] | "
    "numpy.typing.ArrayLike, *, outputs: collections.abc.Sequence[str] | None = None, "
    "timeout: float | None = None, priority: int = 0, "
    "when_full: typing.Literal['raise', 'wait'] | None = None) "
    "-> collections.abc.Coroutine[object, None, Result]\n\n"
    "Answer one request from an asyncio event loop (uvloop too), without blocking it.\n\n"
    "Returns a coroutine: await it, or hand it to create_task(), gather() and the like, once.\n"
    "Nothing is checked, copied or queued before that; the inputs may be changed as soon as the\n"
    "await has begun. A model whose run is cheaper than a hand-off to another thread is run by\n"
    "the event loop's own thread, all requests of one iteration together. Cancelling the task\n"
    "takes the request back, even while its batch runs.\n\n"
    "Args:\n"
    "    feeds: As in run().\n"
    "    outputs: As in run().\n"
    "    timeout: Seconds from this call until DeadlineExceededError; 0 or more. Default: none.\n"
    "    priority: As in run().\n"
    "    when_full: \"raise\" QueueFullError, or \"wait\" for room (within timeout) while other\n"
    "        tasks run. Default: the session's.\n\n"
    "Returns:\n"
    "    What run() returns, from the await.\n\n"
    "Raises:\n"
    "    RuntimeError: No event loop runs on this thread, or it was awaited before.\n"
    "    InferkitError: As run(), from the await."};

}  // namespace

void release_arguments(RunCoroutine* coroutine) noexcept {
  Py_CLEAR(coroutine->call.feeds);
  Py_CLEAR(coroutine->call.outputs);
  Py_CLEAR(coroutine->refusal);
}

bool start(RunCoroutine* coroutine) try {
  if (coroutine->refusal != nullptr) {
    raise(Ref::steal(std::exchange(coroutine->refusal, nullptr)));
    return false;
  }
  SessionObject* session = coroutine->session;
  const CallArgs& call = coroutine->call;
  const Ref loop = LoopPort::running_loop();
  Feeds feeds;
  if (!loop || !select_outputs(session, call.outputs, coroutine->outputs) ||
      !feeds.read(session, call.feeds)) {
    return false;
  }
  const Engine& engine = *session->engine;
  if (engine.closed() || engine.forked()) {
    // No loop need know such a session; admit() says what is wrong with it.
    static_cast<void>(feeds.admit(session, call, nullptr, nullptr, IfFull::fail));
    return false;
  }
  coroutine->port = LoopPorts::of(session).port_of(loop.get());
  if (coroutine->port == nullptr) return false;
  if (call.wait_when_full) return start_or_wait(coroutine, feeds);
  EngineRequest* request = feeds.admit(session, call, coroutine->port, coroutine, IfFull::fail);
  if (request == nullptr) return false;
  coroutine->port->send_off(coroutine, request, true);
  return true;
} catch (const std::bad_alloc&) {
  PyErr_NoMemory();
  return false;
}

bool add_run_async() { return add_session_method(kRunAsync); }

}  // namespace inferkit
