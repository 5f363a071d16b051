// How long a test waits for another thread before it fails instead of hanging.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"
#include "base/parker.h"

namespace inferkit::testing {

inline constexpr DurationNs kPatience = 60 * kSecond;

// Sleeps until `word`, which only grows and is announced by parker::wake, is at least `least`.
// False when patience ran out.
[[nodiscard]] inline bool reaches(const std::atomic<std::uint32_t>& word, std::uint32_t least) {
  const TimeNs until = steady_clock().now() + kPatience;
  for (std::uint32_t now = word.load(); now < least; now = word.load()) {
    if (steady_clock().now() >= until) return false;
    parker::wait(word, now, until);
  }
  return true;
}

// Adds one and tells the sleepers of reaches().
inline void step(std::atomic<std::uint32_t>& word) {
  word.fetch_add(1);
  parker::wake(word, 1 << 20);
}

}  // namespace inferkit::testing
