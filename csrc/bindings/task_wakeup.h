// The callback by which an asyncio task takes its next step.
#pragma once

#include <Python.h>

namespace inferkit {

// What to call `callback` with once `future` has a result and no error. The wake-up of a task asks
// its argument for the result, drops that and resumes the coroutine, which returns the answer by
// itself. A finished asyncio.Future of asyncio's own says the same without a method call (a tenth
// of what the loop executes per request). Any other callback gets the future it was added to.
// Threads: with the GIL. Borrowed. May run Python code; leaves no exception.
[[nodiscard]] PyObject* wakeup_argument(PyObject* callback, PyObject* future);

}  // namespace inferkit
