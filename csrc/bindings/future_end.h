// The end of an inferkit.Future, whose request is gone: nobody else would ever end it.
#pragma once

#include <Python.h>

#include <memory>

#include "engine/engine.h"

namespace inferkit {

// Python code that is left half done, by Ctrl-C, by an exception that another thread sets or for
// want of memory, is done again. Afterwards the first exception that came, if any, is set; the
// future has ended all the same.
// Threads: with the GIL. `engine`: the one that had the request; in a child of its process, which a
// callback may have made, nothing more is done.

// With a result or an exception. On the notifier; blocks while there is no memory, for half a
// minute at most.
void end_future(PyObject* future, PyObject* outcome, const std::shared_ptr<Engine>& engine);
// As cancelled. On any thread; what it cannot do there, near the end of its stack, the notifier
// does.
void end_cancelled_future(PyObject* future, const std::shared_ptr<Engine>& engine);

}  // namespace inferkit
