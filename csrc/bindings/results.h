// From an answered request to what the caller gets.
#pragma once

#include <Python.h>

#include "bindings/errors.h"
#include "bindings/feeds.h"
#include "bindings/session.h"

namespace inferkit {

// An inferkit._core.Result (a dict, name -> ndarray, with a lazy .info) for a request that is done.
// Small outputs are copied; larger ones are writable views whose base keeps the batch's memory and
// shows nothing of it. The request stays the caller's to release. Null with an exception set.
[[nodiscard]] PyObject* make_result(SessionObject* session, EngineRequest* request,
                                    const OutputSelection& selection);

}  // namespace inferkit
