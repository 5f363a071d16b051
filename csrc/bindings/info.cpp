#include "bindings/info.h"

#include <memory>
#include <string>

#include "bindings/errors.h"
#include "bindings/numpy_api.h"

namespace inferkit {
namespace {

Ref text_of(const std::string& text) {
  return Ref::steal(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "backslashreplace"));
}

// int where the model fixes a dimension, str where it names it, else None.
Ref shape_of(const TensorSpec& spec) {
  Ref shape = Ref::steal(PyTuple_New(static_cast<Py_ssize_t>(spec.shape.rank())));
  for (std::size_t axis = 0; shape && axis < spec.shape.rank(); ++axis) {
    Ref dim = Ref::borrow(Py_None);
    if (spec.shape[axis] >= 0) {
      dim = Ref::steal(PyLong_FromLongLong(spec.shape[axis]));
    } else if (!spec.symbols[axis].empty()) {
      dim = text_of(spec.symbols[axis]);
    }
    if (!dim) return {};
    PyTuple_SET_ITEM(shape.get(), static_cast<Py_ssize_t>(axis), dim.release());
  }
  return shape;
}

// Fills `tensors` and returns the tuple of inferkit.TensorInfo.
Ref describe(PyObject* type, const std::vector<TensorSpec>& specs,
             std::vector<SessionFacts::Tensor>& tensors) {
  Ref infos = Ref::steal(PyTuple_New(static_cast<Py_ssize_t>(specs.size())));
  if (!infos) return {};
  for (std::size_t i = 0; i < specs.size(); ++i) {
    PyObject* name = text_of(specs[i].name).release();
    if (name == nullptr) return {};
    PyUnicode_InternInPlace(&name);
    tensors.push_back({Ref::steal(name), specs[i].dtype, numpy_type(specs[i].dtype)});
    const Ref shape = shape_of(specs[i]);
    if (!shape) return {};
    const std::string dtype(dtype_name(specs[i].dtype));
    Ref info = Ref::steal(PyObject_CallFunction(type, "OsO", name, dtype.c_str(), shape.get()));
    if (!info) return {};
    PyTuple_SET_ITEM(infos.get(), static_cast<Py_ssize_t>(i), info.release());
  }
  return infos;
}

// The one way in for everything that needs an opened engine.
template <class Read>
PyObject* read(PyObject* self, Read read_it) {
  SessionObject* session = session_of(self);
  if (engine_of(session) == nullptr) return nullptr;
  return read_it(*session);
}

PyObject* get_inputs(PyObject* self, PyObject* /*unused*/) {
  return read(self, [](SessionObject& s) { return Py_NewRef(s.facts->input_infos.get()); });
}

PyObject* get_outputs(PyObject* self, PyObject* /*unused*/) {
  return read(self, [](SessionObject& s) { return Py_NewRef(s.facts->output_infos.get()); });
}

PyObject* get_name(PyObject* self, PyObject* /*unused*/) {
  return read(self, [](SessionObject& s) { return text_of(s.engine->options().name).release(); });
}

PyObject* get_model(PyObject* self, PyObject* /*unused*/) {
  return read(self, [](SessionObject& s) { return Py_NewRef(s.facts->model.get()); });
}

PyObject* get_device(PyObject* self, PyObject* /*unused*/) {
  return read(self, [](SessionObject& s) { return Py_NewRef(s.facts->device.get()); });
}

PyObject* get_max_batch_size(PyObject* self, PyObject* /*unused*/) {
  return read(self, [](SessionObject& s) {
    return PyLong_FromUnsignedLong(s.engine->options().max_batch_rows);
  });
}

PyObject* get_max_pending(PyObject* self, PyObject* /*unused*/) {
  return read(self, [](SessionObject& s) {
    return PyLong_FromUnsignedLong(s.engine->options().max_pending);
  });
}

PyObject* get_forked(PyObject* self, PyObject* /*unused*/) {
  const auto& engine = session_of(self)->engine;
  return PyBool_FromLong(engine != nullptr && engine->forked() ? 1 : 0);
}

PyObject* explain(PyObject* self, PyObject* /*unused*/) {
  return read(self, [](SessionObject& s) { return text_of(s.engine->explain()).release(); });
}

PyMethodDef kProperties[] = {
    {"inputs", get_inputs, METH_NOARGS,
     "inputs(self) -> tuple[inferkit.TensorInfo, ...]\n\n"
     "Name, dtype and shape of every input, in the model's order."},
    {"outputs", get_outputs, METH_NOARGS,
     "outputs(self) -> tuple[inferkit.TensorInfo, ...]\n\n"
     "Name, dtype and shape of every output, in the model's order."},
    {"name", get_name, METH_NOARGS,
     "name(self) -> str\n\nAs given, else the model's file name without its ending."},
    {"_model", get_model, METH_NOARGS, "_model(self) -> str\n\nPath, or how many bytes."},
    {"_device", get_device, METH_NOARGS, "_device(self) -> str\n\nAs repr shows it."},
    {"_max_batch_size", get_max_batch_size, METH_NOARGS,
     "_max_batch_size(self) -> int\n\nRows; 1 for a model that is not batched."},
    {"_max_pending", get_max_pending, METH_NOARGS, "_max_pending(self) -> int\n\nRequests."},
    {"_forked", get_forked, METH_NOARGS,
     "_forked(self) -> bool\n\nWhether the session belongs to the parent process."}};

PyMethodDef kExplain = {
    "explain", or_no_memory<explain, PyObject*>, METH_NOARGS,
    "explain(self) -> str\n\n"
    "Tell in a few lines what was decided for this model and why: runtime, device, threads,\n"
    "whether its requests share batches, and the measured times.\n\n"
    "Returns:\n"
    "    Text for people; its wording is no interface."};

}  // namespace

SessionFacts* make_facts(const Signature& signature) {
  const Ref module = Ref::steal(PyImport_ImportModule("inferkit._facts"));
  if (!module) return nullptr;
  const Ref type = Ref::steal(PyObject_GetAttrString(module.get(), "TensorInfo"));
  if (!type) return nullptr;
  auto facts = std::make_unique<SessionFacts>();
  facts->input_infos = describe(type.get(), signature.inputs, facts->inputs);
  if (!facts->input_infos) return nullptr;
  facts->output_infos = describe(type.get(), signature.outputs, facts->outputs);
  return facts->output_infos ? facts.release() : nullptr;
}

bool add_info() {
  for (PyMethodDef& def : kProperties) {
    if (!add_session_property(def)) return false;
  }
  return add_session_method(kExplain);
}

}  // namespace inferkit
