// The arguments that run, submit and run_async share.
#pragma once

#include <Python.h>

#include <cstdint>

#include "base/clock.h"
#include "bindings/session.h"

namespace inferkit {

// Borrowed from the call: valid as long as its arguments are.
struct CallArgs {
  PyObject* feeds = nullptr;
  PyObject* outputs = nullptr;  // null: all
  TimeNs deadline = kNever;     // on the engine's clock, counted from the call
  std::int32_t priority = 0;
  bool wait_when_full = false;  // the call's own choice, else the session's
};

// Reads (feeds, *, outputs=None, timeout=None, priority=0, when_full=None) of METH_FASTCALL |
// METH_KEYWORDS. False with TypeError, InvalidInputError or SessionClosedError set.
[[nodiscard]] bool parse_call(SessionObject* session, PyObject* const* args, Py_ssize_t nargs,
                              PyObject* kwnames, CallArgs& call);

// Seconds from now, or None for no change. False with InvalidInputError set.
[[nodiscard]] bool read_timeout(PyObject* value, const Clock& clock, TimeNs& deadline);

}  // namespace inferkit
