// Tensors of ours as ONNX Runtime's values, and its values as blocks of ours.
#pragma once

#include "backend/backend.h"
#include "backend/ort_abi.h"
#include "backend/ort_handle.h"
#include "memory/tensor.h"

namespace inferkit::ort {

// A value over memory of ours, kept from run to run: a caller that comes back with the same
// memory and shape, as a lone one does, is spared 0.1 us. The value is never read but by the Run
// that it is made for, so it does not matter if its memory is freed meanwhile.
// Threads: one at a time.
class Borrowed {
 public:
  explicit Borrowed(const Api& api) noexcept : api_(&api), value_(api) {}

  // Throws: Error(backend).
  [[nodiscard]] Value* over(const TensorView& view, const MemoryInfo* memory);

 private:
  const Api* api_;
  Handle<Value> value_;
  TensorView made_for_;
};

// Fills an empty slot from a value that ONNX Runtime allocated: type, shape and data, with an
// owner that releases the value from whichever thread lets go last, even after the session.
// Throws: Error(backend) if the result has a type or rank that we cannot show.
void adopt(const Api& api, Handle<Value> value, OutputSlot& slot);

// Fills an empty slot with a copy of its own. Throws: std::bad_alloc.
void copy_into(const TensorView& source, OutputSlot& slot);

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

// Bytes of a view whose dimensions are all known.
[[nodiscard]] inline std::size_t bytes_of(const TensorView& view) noexcept {
  std::size_t bytes = item_size(view.dtype);
  for (const std::int64_t dim : view.shape.dims()) bytes *= static_cast<std::size_t>(dim);
  return bytes;
}

}  // namespace inferkit::ort
