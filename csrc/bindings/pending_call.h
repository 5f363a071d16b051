// inferkit._core.PendingCall: the native half of an inferkit.Future.
#pragma once

#include <Python.h>

#include "bindings/feeds.h"
#include "bindings/session.h"

namespace inferkit {

// One submitted request.
// Threads: with the GIL. Owns: session, the selection, the future's condition; the future until it
// is resolved. While the engine has the request, the sink owns a reference to it.
struct PendingCall {
  PyObject_HEAD SessionObject* session;
  PyObject* future;     // until resolved
  PyObject* condition;  // the future's, as long as that may be used
  PendingCall* older;   // among all that there are
  PendingCall* newer;
  EngineRequest* request;   // until resolved
  OutputSelection outputs;  // constructed in place
};

// For `future`, without a request yet. Null with an exception set.
[[nodiscard]] PendingCall* new_pending_call(SessionObject* session, PyObject* future);

// Where the answers of submitted requests go: to the notifier, which gives them to the futures.
// The sink of all sessions; lives for ever. A forked child gets its own.
[[nodiscard]] EngineSink& future_sink();

// Creates the type.
[[nodiscard]] bool add_pending_call(PyObject* module);

}  // namespace inferkit
