// The least that a call of a model from Python can be: no queue, no batch, no deadline, no ledger.
// A Python module, null_path.
#include <pybind11/pybind11.h>

#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#include <numpy/arrayobject.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>

#include "backend/ort_backend.h"

namespace py = pybind11;
using namespace inferkit;

namespace {

// float32 [n, width] -> float32 [n, width']. Reads the array, calls ONNX Runtime's C API, answers
// with a dict of a new array. The GIL is kept.
class NullPath {
 public:
  NullPath(const std::string& library, const std::string& model) {
    OrtModel source;
    source.path = model;
    OrtOptions options;
    options.threads = 1;
    backend_ = make_ort_backend(OrtLibrary::open(library), source, options);
    input_ = PyUnicode_InternFromString(backend_->signature().inputs[0].name.c_str());
    output_ = PyUnicode_InternFromString(backend_->signature().outputs[0].name.c_str());
  }
  ~NullPath() {
    Py_DECREF(input_);
    Py_DECREF(output_);
  }
  NullPath(const NullPath&) = delete;
  NullPath& operator=(const NullPath&) = delete;

  // A new reference, or null with an exception set.
  PyObject* call(PyObject* feeds) {
    PyObject* const given = PyDict_CheckExact(feeds) != 0 ? PyDict_GetItem(feeds, input_) : nullptr;
    if (given == nullptr || !PyArray_CheckExact(given)) return refuse("no array");
    auto* const rows = reinterpret_cast<PyArrayObject*>(given);
    if (PyArray_TYPE(rows) != NPY_FLOAT32 || PyArray_NDIM(rows) != 2 ||
        !PyArray_ISCARRAY_RO(rows)) {
      return refuse("not float32 [n, width], contiguous");
    }
    const std::array<npy_intp, 2> shape = {PyArray_DIM(rows, 0),
                                           backend_->signature().outputs[0].shape[1]};
    PyObject* const answer = PyArray_SimpleNew(2, shape.data(), NPY_FLOAT32);
    if (answer == nullptr) return nullptr;
    run(rows, reinterpret_cast<PyArrayObject*>(answer));
    PyObject* const result = PyDict_New();
    if (result != nullptr) PyDict_SetItem(result, output_, answer);
    Py_DECREF(answer);
    return result;
  }

 private:
  static PyObject* refuse(const char* what) {
    PyErr_SetString(PyExc_ValueError, what);
    return nullptr;
  }

  static TensorView view_of(PyArrayObject* array) {
    const std::array<std::int64_t, 2> dims = {PyArray_DIM(array, 0), PyArray_DIM(array, 1)};
    return {DType::float32, Shape(dims), static_cast<std::byte*>(PyArray_DATA(array))};
  }

  void run(PyArrayObject* rows, PyArrayObject* answer) {
    const TensorView input = view_of(rows);
    OutputSlot output;
    output.view = view_of(answer);
    backend_->run({&input, 1}, {&output, 1}, {});
  }

  std::unique_ptr<Backend> backend_;
  PyObject* input_ = nullptr;
  PyObject* output_ = nullptr;
};

constexpr const char* kCapsule = "null_path";

PyObject* call(PyObject* capsule, PyObject* feeds) try {
  return static_cast<NullPath*>(PyCapsule_GetPointer(capsule, kCapsule))->call(feeds);
} catch (const std::exception& error) {
  PyErr_SetString(PyExc_RuntimeError, error.what());
  return nullptr;
}

PyMethodDef call_method = {"call", call, METH_O, "call(feeds: dict) -> dict"};

py::object open(const std::string& library, const std::string& model) {
  auto path = std::make_unique<NullPath>(library, model);
  const py::capsule capsule(path.release(), kCapsule, [](PyObject* self) {
    delete static_cast<NullPath*>(PyCapsule_GetPointer(self, kCapsule));
  });
  return py::reinterpret_steal<py::object>(PyCFunction_New(&call_method, capsule.ptr()));
}

}  // namespace

PYBIND11_MODULE(null_path, module) {
  if (_import_array() < 0) throw py::error_already_set();
  module.def("open", &open, "open(library, model) -> call: calls of the model, with the GIL kept");
}
