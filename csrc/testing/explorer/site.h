// Where in the source an atomic operation names its order.
#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <map>
#include <source_location>
#include <string>

namespace inferkit::explorer {

// A compare-and-exchange has two: one for success, one for failure.
struct Site {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  bool on_failure = false;

  static Site of(const std::source_location& at, bool on_failure) {
    return {at.file_name(), at.line(), at.column(), on_failure};
  }
  friend auto operator<=>(const Site&, const Site&) = default;
};

// The order that each place names; those that name relaxed are left out.
using Sites = std::map<Site, std::memory_order>;

}  // namespace inferkit::explorer
