#include "memory/tensor.h"

#include <doctest/doctest.h>

#include <limits>
#include <optional>
#include <vector>

#include "support/views.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

std::optional<std::size_t> bytes(DType dtype, const std::vector<std::int64_t>& dims) {
  return checked_bytes(dtype, dims);
}

TEST_CASE("checked_bytes: the product of the dimensions and the size of an element") {
  CHECK(bytes(DType::float32, {}) == 4);
  CHECK(bytes(DType::int64, {2, 3}) == 48);
  CHECK(bytes(DType::uint8, {kMost}) == static_cast<std::size_t>(kMost));
}

TEST_CASE("checked_bytes: nothing where the product does not fit, or a dimension is negative") {
  CHECK(bytes(DType::float32, {kMost}) == std::nullopt);
  CHECK(bytes(DType::uint8, {kMost, 3}) == std::nullopt);
  CHECK(bytes(DType::uint8, {-1}) == std::nullopt);
  CHECK(bytes(DType::uint8, {2, -1}) == std::nullopt);
}

TEST_CASE("checked_bytes: a dimension of zero excuses no other") {
  CHECK(bytes(DType::float32, {0}) == 0);
  CHECK(bytes(DType::float32, {5, 0, 7}) == 0);
  CHECK(bytes(DType::float32, {0, kMost}) == std::nullopt);
  CHECK(bytes(DType::float32, {0, -1}) == std::nullopt);
}

TEST_CASE("shapes print as lists, with a question mark where a dimension is open") {
  CHECK(to_string(shape_of({})) == "[]");
  CHECK(to_string(shape_of({64})) == "[64]");
  CHECK(to_string(shape_of({-1, 3, 0})) == "[?, 3, 0]");
}

}  // namespace
