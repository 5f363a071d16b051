// Long forms of tests are asked for by environment variables.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace inferkit::testing {

inline std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

}  // namespace inferkit::testing
