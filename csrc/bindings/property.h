// Attributes of our raw types that generated stubs and documentation can read.
#pragma once

#include <Python.h>

#include "bindings/ref.h"

namespace inferkit {

// False with an exception set; also for an empty `value`, whose maker has set one.
[[nodiscard]] bool add_attribute(PyTypeObject* type, const char* name, const Ref& value);

// A read-only Python property over a method without arguments. A getset descriptor would do, but
// has no place for a typed signature. The first line of the docstring is the signature.
[[nodiscard]] bool add_property(PyTypeObject* type, PyMethodDef& getter);

}  // namespace inferkit
