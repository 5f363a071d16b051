// Tensors of ours as ONNX Runtime's values, and its values as blocks of ours.
#pragma once

#include "backend/backend.h"
#include "backend/ort_abi.h"
#include "backend/ort_handle.h"
#include "memory/tensor.h"

namespace inferkit::ort {

// A value that borrows the view's memory. Throws: Error(backend).
[[nodiscard]] Value* borrow(const Api& api, const MemoryInfo* memory, const TensorView& view);

// Fills an empty slot from a value that ONNX Runtime allocated: type, shape and data, with an
// owner that releases the value from whichever thread lets go last, even after the session.
// Throws: Error(backend) if the result has a type or rank that we cannot show.
void adopt(const Api& api, Handle<Value> value, OutputSlot& slot);

// ONNX's number of an element type of ours.
[[nodiscard]] constexpr int element_type(DType dtype) noexcept {
  switch (dtype) {
#define INFERKIT_CASE(name, numpy, bytes, onnx) \
  case DType::name:                             \
    return onnx;
    INFERKIT_DTYPES(INFERKIT_CASE)
#undef INFERKIT_CASE
  }
  return 0;
}

}  // namespace inferkit::ort
