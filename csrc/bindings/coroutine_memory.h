// Memory of coroutines that are gone, kept for those to come.
#pragma once

#include "bindings/coroutine.h"

namespace inferkit::coroutine_memory {

// Every field zero but the object's head, tracked by the collector. Null with MemoryError set.
// Saves a way through CPython's allocator and back at every await. Threads: with the GIL.
[[nodiscard]] PyObject* take(PyTypeObject* type);
// `self` is untracked and owns nothing any more but its type, which the caller lets go of.
void give_back(PyObject* self) noexcept;

}  // namespace inferkit::coroutine_memory
