#include "memory/tensor.h"

namespace inferkit {

std::string to_string(const Shape& shape) {
  std::string out = "[";
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    if (axis != 0) out += ", ";
    out += shape[axis] < 0 ? "?" : std::to_string(shape[axis]);
  }
  return out + "]";
}

}  // namespace inferkit
