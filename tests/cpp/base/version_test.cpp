#include "base/version.h"

#include <doctest/doctest.h>

#include <algorithm>

TEST_CASE("version: numbers and dots, as the Python package says") {
  const auto seen = inferkit::version();
  CHECK(std::count(seen.begin(), seen.end(), '.') >= 2);
  CHECK(seen.find_first_of("0123456789") == 0);
}
