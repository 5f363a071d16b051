// numpy's C functions, whose table is filled once, by import_numpy().
#pragma once

#include <Python.h>

#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL inferkit_numpy_table
#ifndef INFERKIT_NUMPY_TABLE_HERE
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include "memory/dtype.h"

namespace inferkit {

// False with ImportError set.
[[nodiscard]] bool import_numpy();

[[nodiscard]] int numpy_type(DType dtype) noexcept;

[[nodiscard]] inline PyArrayObject* array_of(PyObject* array) noexcept {
  return reinterpret_cast<PyArrayObject*>(array);
}

}  // namespace inferkit
