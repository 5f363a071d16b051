#define INFERKIT_NUMPY_TABLE_HERE
#include "bindings/numpy_api.h"

namespace inferkit {

bool import_numpy() { return _import_array() >= 0; }

int numpy_type(DType dtype) noexcept {
  switch (dtype) {
    case DType::float32:
      return NPY_FLOAT32;
    case DType::uint8:
      return NPY_UINT8;
    case DType::int8:
      return NPY_INT8;
    case DType::uint16:
      return NPY_UINT16;
    case DType::int16:
      return NPY_INT16;
    case DType::int32:
      return NPY_INT32;
    case DType::int64:
      return NPY_INT64;
    case DType::boolean:
      return NPY_BOOL;
    case DType::float16:
      return NPY_FLOAT16;
    case DType::float64:
      return NPY_FLOAT64;
    case DType::uint32:
      return NPY_UINT32;
    case DType::uint64:
      return NPY_UINT64;
  }
  return NPY_NOTYPE;
}

}  // namespace inferkit
