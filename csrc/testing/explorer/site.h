// Where in the source an atomic operation stands, and what a run may make of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <source_location>

namespace inferkit::explorer {

// A compare-and-exchange has two: one for success, one for failure.
struct Site {
  const char* file = "";
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  bool on_failure = false;

  static Site of(const std::source_location& at, bool on_failure) {
    return {at.file_name(), at.line(), at.column(), on_failure};
  }
  friend bool operator==(const Site& a, const Site& b) {
    return a.line == b.line && a.column == b.column && a.on_failure == b.on_failure &&
           (a.file == b.file || std::strcmp(a.file, b.file) == 0);
  }
  friend bool operator<(const Site& a, const Site& b) {
    if (a.line != b.line) return a.line < b.line;
    if (a.column != b.column) return a.column < b.column;
    if (a.on_failure != b.on_failure) return b.on_failure;
    return a.file != b.file && std::strcmp(a.file, b.file) < 0;
  }
};

enum class Operation : std::uint8_t {
  load,     // also a compare-and-exchange that fails
  store,    // nothing is read
  modify,   // a read-modify-write that always writes
  compare,  // a compare-and-exchange that succeeds
  wait      // names no order
};

struct Place {
  Operation operation = Operation::load;
  std::memory_order named = std::memory_order_relaxed;
};
using Sites = std::map<Site, Place>;

// One place does less than the source says.
struct Mutation {
  enum class Kind : std::uint8_t {
    weaker,  // its order is `order`
    // It does not look: a load finds what the set-up left, and so does a read-modify-write, which
    // still writes; a compare-and-exchange writes whatever is there, and where it fails does not
    // say what it found; a wait sleeps whatever the word holds.
    blind
  };
  Site site;
  Kind kind = Kind::weaker;
  std::memory_order order = std::memory_order_relaxed;
};

}  // namespace inferkit::explorer
