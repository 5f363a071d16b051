// The one thread that keeps time for those who have no thread asleep.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/atom.h"
#include "base/clock.h"

namespace inferkit {

// An alarm clock. The token holder arms it, the keeper thread sleeps on it. Arming an awake keeper
// costs one exchange; a parked one is also woken.
// Threads: arm() by the token holder; next() by the keeper thread; stop() from any.
// Blocks: next() only. Never touches Python.
template <class Atom>
class Keeper {
 public:
  // The alarm is due at `at`; replaces the one before. True: the keeper is parked and must be
  // woken, after the token was released.
  [[nodiscard]] bool arm(TimeNs at) noexcept {
    due_.store(at, std::memory_order_relaxed);  // published by the exchange
    return word_.exchange(kArmed, std::memory_order_release) == kParked;
  }
  void wake() noexcept { Atom::wake(word_, 1); }
  // What it was armed for last.
  [[nodiscard]] TimeNs due() const noexcept { return due_.load(std::memory_order_relaxed); }

  void stop() noexcept {
    stopped_.store(true, std::memory_order_relaxed);  // published by the exchange
    word_.exchange(kArmed, std::memory_order_release);
    Atom::wake(word_, 1);
  }

  // Sleeps until the alarm is due (true: ring the bell) or the keeper is stopped (false).
  // `due` is what the keeper knows of the alarm; kNever at first.
  [[nodiscard]] bool next(TimeNs& due, const Clock& clock) noexcept {
    for (;;) {
      // acquire: pairs with arm(). Consumed before the ring, so a re-arm during it is not lost.
      if (word_.exchange(kIdle, std::memory_order_acquire) == kArmed) {
        if (stopped_.load(std::memory_order_relaxed)) return false;
        due = due_.load(std::memory_order_relaxed);
      }
      if (due <= clock.now()) {
        due = kNever;
        return true;
      }
      std::uint32_t expected = kIdle;
      if (word_.compare_exchange_strong(expected, kParked, std::memory_order_relaxed)) {
        Atom::wait(word_, kParked, due);
      }
    }
  }

 private:
  static constexpr std::uint32_t kIdle = 0;
  static constexpr std::uint32_t kParked = 1;
  static constexpr std::uint32_t kArmed = 2;

  typename Atom::template Atomic<std::uint32_t> word_{kIdle};
  typename Atom::template Atomic<TimeNs> due_{kNever};
  typename Atom::template Atomic<bool> stopped_{false};
};

}  // namespace inferkit
