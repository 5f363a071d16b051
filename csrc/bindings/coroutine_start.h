// session.run_async() and the first step of its coroutine.
#pragma once

#include <Python.h>

#include "bindings/coroutine.h"

namespace inferkit {

// Checks and copies the inputs and sends the request off, or queues for room. Afterwards the
// coroutine is waiting, in flight or already answered. False with an exception set: nothing was
// queued. Needs `created`.
[[nodiscard]] bool start(RunCoroutine* coroutine);

// Gives the session run_async().
[[nodiscard]] bool add_run_async();

}  // namespace inferkit
