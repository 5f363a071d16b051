// Shapes and borrowed tensors.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "memory/dtype.h"

namespace inferkit {

inline constexpr std::size_t kMaxRank = 8;

// A value: up to kMaxRank dimensions, no heap. -1 stands for "not fixed" where a spec allows it.
class Shape {
 public:
  Shape() = default;
  explicit Shape(std::span<const std::int64_t> dims) noexcept
      : rank_(static_cast<std::uint8_t>(dims.size() < kMaxRank ? dims.size() : kMaxRank)) {
    for (std::size_t axis = 0; axis < rank_; ++axis) dims_[axis] = dims[axis];
  }

  [[nodiscard]] std::size_t rank() const noexcept { return rank_; }
  [[nodiscard]] std::int64_t operator[](std::size_t axis) const noexcept { return dims_[axis]; }
  [[nodiscard]] std::int64_t& operator[](std::size_t axis) noexcept { return dims_[axis]; }
  [[nodiscard]] std::span<const std::int64_t> dims() const noexcept {
    return {dims_.data(), rank_};
  }
  friend bool operator==(const Shape& a, const Shape& b) noexcept {
    return std::equal(a.dims().begin(), a.dims().end(), b.dims().begin(), b.dims().end());
  }

 private:
  std::uint8_t rank_ = 0;
  std::array<std::int64_t, kMaxRank> dims_{};
};

// Product of the dimensions times the item size; nothing on overflow or a negative dimension.
// Inline: each request asks eight times.
[[nodiscard]] inline std::optional<std::size_t> checked_bytes(
    DType dtype, std::span<const std::int64_t> dims) noexcept {
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

// "[64, 128]"; -1 prints as "?".
[[nodiscard]] std::string to_string(const Shape& shape);

// Owns: nothing; someone else keeps `data` alive and says how long. C-contiguous.
struct TensorView {
  DType dtype = DType::float32;
  Shape shape;
  std::byte* data = nullptr;
};

}  // namespace inferkit
