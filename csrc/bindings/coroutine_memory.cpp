#include "bindings/coroutine_memory.h"

#include <array>
#include <cstddef>
#include <cstring>

namespace inferkit::coroutine_memory {
namespace {

// As many as usually wait side by side; they end with the process. None where tests look for uses
// of memory that was given back.
#if defined(INFERKIT_TESTING)
std::array<PyObject*, 0> spare;
#else
std::array<PyObject*, 256> spare;
#endif
std::size_t count = 0;

}  // namespace

PyObject* take(PyTypeObject* type) {
  if (count == 0) return type->tp_alloc(type, 0);
  PyObject* self = spare[--count];
  std::memset(self + 1, 0, sizeof(RunCoroutine) - sizeof(PyObject));
  PyObject_Init(self, type);
  PyObject_GC_Track(self);
  return self;
}

void give_back(PyObject* self) noexcept {
  if (count == spare.size()) return PyObject_GC_Del(self);
  spare[count++] = self;
}

}  // namespace inferkit::coroutine_memory
