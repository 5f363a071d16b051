// inferkit._core.RunCoroutine: what session.run_async() returns.
#pragma once

#include <Python.h>

#include <cstdint>

#include "bindings/call_args.h"
#include "bindings/feeds.h"
#include "bindings/session.h"

namespace inferkit {

class LoopPort;

//  created -> waiting -> in_flight -> answered -> finished
// Left out: waiting where there is room; in_flight and answered where the first send returns at
// once. Cancelled, thrown into or closed, it is finished from any.
enum class Progress : std::uint8_t {
  created,    // nothing was queued yet
  waiting,    // for room in the session (when_full="wait")
  in_flight,  // the engine has the request
  answered,   // the answer is here; the task was not resumed yet
  finished    // returned, raised or closed
};

// A coroutine and, while it is suspended, the future-like object that it yields to its task: no
// asyncio.Future, no Python code per request. Submits at its first send, never before.
// Threads: with the GIL; from the first send on only its loop's thread.
// Owns: session and arguments. The port owns a reference to it while it is waiting, while the
// engine has its request, and until its task was resumed.
struct RunCoroutine {
  PyObject_HEAD PyObject* weakrefs;
  SessionObject* session;
  CallArgs call;      // feeds and outputs are owned here, until the first send is over
  PyObject* refusal;  // what the arguments raised; told at the first send

  Progress progress;
  bool running;    // its code runs right now
  bool blocking;   // asyncio's _asyncio_future_blocking
  bool cancelled;  // cancel() said yes
  bool owed;       // result or error is an answer that nobody has taken
  LoopPort* port;
  EngineRequest* request;   // in flight; still there when `finished`: nobody wants the answer
  OutputSelection outputs;  // constructed in place
  Feeds* feeds;             // waiting; owned
  PyObject* timer;          // waiting, where there is a deadline
  RunCoroutine* previous;   // waiting: the port's line
  RunCoroutine* next;       // waiting: the line; answered: the port's list

  PyObject* callback;  // of the first add_done_callback(), with its context
  PyObject* context;
  PyObject* more;  // list of (callback, context): the others
  PyObject* result;
  PyObject* error;
};

[[nodiscard]] inline PyObject* object_of(RunCoroutine* coroutine) noexcept {
  return reinterpret_cast<PyObject*>(coroutine);
}
[[nodiscard]] inline RunCoroutine* coroutine_of(PyObject* self) noexcept {
  return reinterpret_cast<RunCoroutine*>(self);
}

// One that has not begun. Null with an exception set.
[[nodiscard]] RunCoroutine* new_coroutine(SessionObject* session);
void release_arguments(RunCoroutine* coroutine) noexcept;

// Takes the request back from the port's line or the engine. False: it was answered, or will be
// any moment; the port hears of it. Needs `waiting` or `in_flight`; the caller says what it is
// then.
[[nodiscard]] bool take_back(RunCoroutine* coroutine);
// Turns the answer into `result` or `error` and lets go of the request. Needs `answered`.
void unpack_answer(RunCoroutine* coroutine);
// An answer that nobody will take: counts it and lets go of the request, if there is one.
void drop_answer(RunCoroutine* coroutine);
// Returns or raises the answer. Needs `answered`.
[[nodiscard]] PySendResult finish(RunCoroutine* coroutine, PyObject** result);
// Nobody waits for it any more, wherever it stands.
void stop(RunCoroutine* coroutine);

// Creates the type.
[[nodiscard]] bool add_coroutine(PyObject* module);

}  // namespace inferkit
