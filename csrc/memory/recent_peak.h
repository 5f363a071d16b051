// The most of something in the last seconds.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/atom.h"
#include "base/clock.h"

namespace inferkit {

// Two windows of time: what was noted stays for one to two of them.
// Threads: any; those that note at the same moment may lose one another's number, so for hints.
// Blocks: never. Throws: never.
template <class Atom>
class RecentPeak {
 public:
  static constexpr DurationNs kWindow = 5 * kSecond / 2;

  // The most of late, `value` of now included.
  std::uint64_t note(std::uint64_t value, TimeNs now) noexcept {
    // relaxed, here and below, and not one step: hints.
    const TimeNs began = began_.load(std::memory_order_relaxed);
    if (now - began >= kWindow) {
      const bool missed_one = now - began >= 2 * kWindow;
      const std::uint64_t before = missed_one ? 0 : now_.load(std::memory_order_relaxed);
      before_.store(before, std::memory_order_relaxed);
      now_.store(value, std::memory_order_relaxed);
      began_.store(now, std::memory_order_relaxed);
      return std::max(value, before);
    }
    const std::uint64_t most = now_.load(std::memory_order_relaxed);
    if (value > most) now_.store(value, std::memory_order_relaxed);
    return std::max({value, most, before_.load(std::memory_order_relaxed)});
  }

  void forget() noexcept {
    now_.store(0, std::memory_order_relaxed);
    before_.store(0, std::memory_order_relaxed);
  }

 private:
  template <class T>
  using Atomic = typename Atom::template Atomic<T>;

  Atomic<TimeNs> began_{0};
  Atomic<std::uint64_t> now_{0};
  Atomic<std::uint64_t> before_{0};
};

}  // namespace inferkit
