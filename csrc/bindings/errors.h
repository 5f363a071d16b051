// From the core's errors to Python's exceptions.
#pragma once

#include <Python.h>

#include <exception>

#include "base/error.h"
#include "bindings/session.h"

namespace inferkit {

// Sets the class of inferkit.errors that the error's code names.
void set_error(const Error& error);

// Sets the exception for a request that has no result: failed, expired, closed (typed), cancelled
// (concurrent.futures.CancelledError).
void raise_request_error(SessionObject* session, const EngineRequest& request);

// Adds error_table() to the module.
[[nodiscard]] bool add_errors(PyObject* module);

}  // namespace inferkit
