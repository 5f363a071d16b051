// Tensors of a test, made where they are used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "batch/signature.h"
#include "memory/tensor.h"

namespace inferkit::testing {

[[nodiscard]] inline Shape shape_of(std::initializer_list<std::int64_t> dims) {
  return Shape(std::vector<std::int64_t>(dims));
}

[[nodiscard]] inline TensorSpec spec_of(std::string name, DType dtype,
                                        std::initializer_list<std::int64_t> dims) {
  return {std::move(name), dtype, shape_of(dims), std::vector<std::string>(dims.size())};
}

// With find_batch_axis() applied.
[[nodiscard]] inline Signature signature_of(std::vector<TensorSpec> inputs,
                                            std::vector<TensorSpec> outputs) {
  Signature signature;
  signature.inputs = std::move(inputs);
  signature.outputs = std::move(outputs);
  find_batch_axis(signature);
  return signature;
}

// A view of no memory at all, for code that must only look at dtype and shape.
[[nodiscard]] inline TensorView bare(DType dtype, std::initializer_list<std::int64_t> dims) {
  return {dtype, shape_of(dims), nullptr};
}

// Owns the values that its view shows.
template <class T>
class Values {
 public:
  Values(DType dtype, std::initializer_list<std::int64_t> dims, std::vector<T> values)
      : values_(std::move(values)), dtype_(dtype), shape_(shape_of(dims)) {}

  [[nodiscard]] TensorView view() noexcept {
    return {dtype_, shape_, reinterpret_cast<std::byte*>(values_.data())};
  }
  [[nodiscard]] const std::vector<T>& values() const noexcept { return values_; }

 private:
  std::vector<T> values_;
  DType dtype_;
  Shape shape_;
};

// A copy of what a view shows.
template <class T>
[[nodiscard]] std::vector<T> read(const TensorView& view) {
  const auto* first = reinterpret_cast<const T*>(view.data);
  const std::size_t bytes = checked_bytes(view.dtype, view.shape.dims()).value_or(0);
  return std::vector<T>(first, first + bytes / sizeof(T));
}

}  // namespace inferkit::testing
