// A model of one input and one output, and a row for it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "batch/signature.h"
#include "memory/tensor.h"

namespace inferkit::benchmarks {

[[nodiscard]] inline Shape matrix(std::int64_t rows, std::int64_t columns) {
  return Shape(std::array{rows, columns});
}

// x [rows, columns] -> y [rows, columns], batched.
[[nodiscard]] inline Signature row_wise(DType dtype, std::int64_t columns) {
  Signature signature;
  signature.inputs.push_back({"x", dtype, matrix(-1, columns), {"", ""}});
  signature.outputs.push_back({"y", dtype, matrix(-1, columns), {"", ""}});
  find_batch_axis(signature);
  return signature;
}

// Owns its bytes. Not to be moved: views show them.
class ARow {
 public:
  ARow(DType dtype, std::int64_t columns) : dtype_(dtype), shape_(matrix(1, columns)) {
    bytes_.resize(*checked_bytes(dtype, shape_.dims()), std::byte{1});
  }
  ARow(const ARow&) = delete;
  ARow& operator=(const ARow&) = delete;

  [[nodiscard]] TensorView view() { return {dtype_, shape_, bytes_.data()}; }

 private:
  DType dtype_;
  Shape shape_;
  std::vector<std::byte> bytes_;
};

}  // namespace inferkit::benchmarks
