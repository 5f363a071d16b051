// The callback by which an asyncio task takes its next step.
#pragma once

#include <Python.h>

namespace inferkit {

// What to call `callback` with once `future` is done. The wake-up of a task asks its argument for
// the result, drops that and resumes the coroutine. Where the coroutine knows its answer by itself,
// a finished asyncio.Future says the same without a Python call (a tenth of what the loop executes
// per request). Any other callback gets the future that it was added to.
// Threads: with the GIL. Borrowed. May run Python code; leaves no exception.
[[nodiscard]] PyObject* wakeup_argument(PyObject* callback, PyObject* future);

}  // namespace inferkit
