// Time is an argument: the core asks a Clock, tests hand in their own.
#pragma once

#include <cstdint>
#include <limits>

namespace inferkit {

using TimeNs = std::int64_t;      // a point on the monotonic clock, nanoseconds
using DurationNs = std::int64_t;  // a length of time, nanoseconds

inline constexpr TimeNs kNever = std::numeric_limits<TimeNs>::max();
inline constexpr DurationNs kMicrosecond = 1'000;
inline constexpr DurationNs kMillisecond = 1'000'000;
inline constexpr DurationNs kSecond = 1'000'000'000;

// Threads: any. Blocks: never.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual TimeNs now() const noexcept = 0;
};

// CLOCK_MONOTONIC, the clock that Parker's deadlines are on. Lives for ever.
[[nodiscard]] const Clock& steady_clock() noexcept;

}  // namespace inferkit
