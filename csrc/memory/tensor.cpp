#include "memory/tensor.h"

namespace inferkit {

std::optional<std::size_t> checked_bytes(DType dtype, std::span<const std::int64_t> dims) noexcept {
  std::size_t bytes = item_size(dtype);
  bool empty = false;  // a zero dimension makes the product zero, yet the others must be sane too
  for (const std::int64_t dim : dims) {
    if (dim < 0) return std::nullopt;
    if (dim == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(bytes, static_cast<std::size_t>(dim), &bytes)) {
      return std::nullopt;
    }
  }
  return empty ? 0 : bytes;
}

std::string to_string(const Shape& shape) {
  std::string out = "[";
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    if (axis != 0) out += ", ";
    out += shape[axis] < 0 ? "?" : std::to_string(shape[axis]);
  }
  return out + "]";
}

}  // namespace inferkit
