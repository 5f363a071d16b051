// Element types that a tensor of ours can have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace inferkit {

// name, numpy's name, bytes per element, ONNX's element type number.
#define INFERKIT_DTYPES(X)     \
  X(float32, "float32", 4, 1)  \
  X(uint8, "uint8", 1, 2)      \
  X(int8, "int8", 1, 3)        \
  X(uint16, "uint16", 2, 4)    \
  X(int16, "int16", 2, 5)      \
  X(int32, "int32", 4, 6)      \
  X(int64, "int64", 8, 7)      \
  X(boolean, "bool", 1, 9)     \
  X(float16, "float16", 2, 10) \
  X(float64, "float64", 8, 11) \
  X(uint32, "uint32", 4, 12)   \
  X(uint64, "uint64", 8, 13)

enum class DType : std::uint8_t {
#define INFERKIT_ENUM(name, numpy, bytes, onnx) name,
  INFERKIT_DTYPES(INFERKIT_ENUM)
#undef INFERKIT_ENUM
};

[[nodiscard]] constexpr std::size_t item_size(DType dtype) noexcept {
  switch (dtype) {
#define INFERKIT_CASE(name, numpy, bytes, onnx) \
  case DType::name:                             \
    return bytes;
    INFERKIT_DTYPES(INFERKIT_CASE)
#undef INFERKIT_CASE
  }
  return 0;
}

[[nodiscard]] constexpr std::string_view dtype_name(DType dtype) noexcept {
  switch (dtype) {
#define INFERKIT_CASE(name, numpy, bytes, onnx) \
  case DType::name:                             \
    return numpy;
    INFERKIT_DTYPES(INFERKIT_CASE)
#undef INFERKIT_CASE
  }
  return "?";
}

}  // namespace inferkit
