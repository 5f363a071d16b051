// inferkit._core.SessionCore: an engine as Python sees it.
#pragma once

#include <Python.h>

#include <memory>
#include <vector>

#include "bindings/ref.h"
#include "bindings/short_runs.h"
#include "engine/engine.h"

namespace inferkit {

// What the bindings keep ready about a model, so that a call looks nothing up twice.
// Written once, when the engine is opened.
struct SessionFacts {
  struct Tensor {
    Ref name;  // interned
    DType dtype = DType::float32;
    int typenum = 0;  // numpy's
  };
  std::vector<Tensor> inputs;
  std::vector<Tensor> outputs;
  Ref input_infos;  // tuple of inferkit.TensorInfo
  Ref output_infos;
  Ref model;   // str: the path, or "<N bytes>"
  Ref device;  // str: what the constructor was given
  bool wait_when_full = false;
};

// A raw CPython object, because pybind11's calls cost more than a small model. May be subclassed
// in Python, weakly referenced, and has a __dict__.
// Threads: with the GIL. Owns: a share of the engine, which it drops without the GIL.
struct SessionObject {
  PyObject_HEAD PyObject* dict;
  PyObject* weakrefs;
  std::shared_ptr<Engine> engine;    // null until opened, then never changed
  SessionFacts* facts;               // owned; null until opened, then never changed
  std::shared_ptr<void> deliveries;  // for loop_port and notifier: theirs, dies with the object
  ShortRuns short_runs;
};

[[nodiscard]] inline SessionObject* session_of(PyObject* self) noexcept {
  return reinterpret_cast<SessionObject*>(self);
}
[[nodiscard]] inline PyObject* object_of(SessionObject* session) noexcept {
  return reinterpret_cast<PyObject*>(session);
}

// SessionCore itself, after add_session().
[[nodiscard]] PyTypeObject* session_type() noexcept;

// The engine, or null with SessionClosedError set where the object was never opened.
[[nodiscard]] Engine* engine_of(SessionObject* session);

// Each file that binds a method of the session adds it in its own add_...(): `def` lives for ever
// and its docstring starts with a typed signature line, as in
// "run(self, feeds: object, *, timeout: float | None = None) -> Result\n\n...", which the stubs
// and the documentation read. False with a Python exception set.
[[nodiscard]] bool add_session_method(PyMethodDef& def);
// The method, without arguments, as a read-only property.
[[nodiscard]] bool add_session_property(PyMethodDef& def);

// Creates the type and adds it to the module.
[[nodiscard]] bool add_session(PyObject* module);

}  // namespace inferkit
