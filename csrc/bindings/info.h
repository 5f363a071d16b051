// What a session tells about itself: inputs, outputs, name, explain() and what __repr__ shows.
#pragma once

#include <Python.h>

#include "bindings/session.h"

namespace inferkit {

// The facts of an opened engine, without model and device. Null with an exception set.
[[nodiscard]] SessionFacts* make_facts(const Signature& signature);

// Adds the methods and properties to the session type. False with an exception set.
[[nodiscard]] bool add_info();

}  // namespace inferkit
