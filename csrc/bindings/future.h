// session.submit(): answers that come by way of the notifier.
#pragma once

#include <Python.h>

namespace inferkit {

// Creates inferkit._core.PendingCall, the native half of inferkit.Future, and gives the session
// submit().
[[nodiscard]] bool add_submit(PyObject* module);

}  // namespace inferkit
