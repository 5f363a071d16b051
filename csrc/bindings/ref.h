// A counted reference to a Python object.
#pragma once

#include <Python.h>

#include <utility>

#include "bindings/gil.h"

namespace inferkit {

// Owns: one reference. Threads: used and destroyed with the GIL only.
class Ref {
 public:
  Ref() = default;
  // Takes over a reference that the caller owns, or null.
  [[nodiscard]] static Ref steal(PyObject* object) noexcept {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  [[nodiscard]] static Ref borrow(PyObject* object) noexcept { return steal(Py_XNewRef(object)); }
  Ref(const Ref& other) noexcept : object_(Py_XNewRef(other.object_)) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ == nullptr) return;
    if (unwinding_expected.load(std::memory_order_relaxed)) [[unlikely]]
      sleep_if_unwound();
    Py_DECREF(object_);
  }

  [[nodiscard]] PyObject* get() const noexcept { return object_; }
  // Gives the reference to the caller.
  [[nodiscard]] PyObject* release() noexcept { return std::exchange(object_, nullptr); }
  [[nodiscard]] explicit operator bool() const noexcept { return object_ != nullptr; }

 private:
  PyObject* object_ = nullptr;
};

}  // namespace inferkit
