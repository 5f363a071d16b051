// Who may act on the queue now, and whether somebody asked for it.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/atom.h"

namespace inferkit {

// The token. Whoever holds it is the single consumer of the inbox and the owner of the lanes.
// Work is done first, then ring(): the ringer either gets the token or knows that a later look by
// the holder will find the work. docs/threading.md tells it step by step.
// Threads: any. Blocks: never.
template <class Atom>
class Bell {
 public:
  static constexpr std::uint32_t kHeld = 1;
  static constexpr std::uint32_t kPending = 2;

  // Call after the work is visible. True: the caller now holds the token.
  [[nodiscard]] bool ring() noexcept {
    // release: pairs with the acquire of the next take and of clear_pending(), so the holder that
    // sees PENDING sees the work.
    const std::uint32_t before = word_.fetch_or(kPending, std::memory_order_release);
    if ((before & kHeld) != 0) return false;
    std::uint32_t expected = kPending;
    // Strong, from exactly PENDING, and it clears PENDING. A failure means that somebody took the
    // token after our fetch_or and so owns our work. acquire: pairs with release() and drop().
    return word_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }

  // Lets go unless somebody rang meanwhile; then the caller still holds, must clear_pending(),
  // drain and decide again. release: the next taker sees the lanes as we left them.
  [[nodiscard]] bool release() noexcept {
    std::uint32_t expected = kHeld;
    return word_.compare_exchange_strong(expected, 0, std::memory_order_release,
                                         std::memory_order_relaxed);
  }

  // Strictly before the drain it stands for. acquire: pairs with ring()'s release.
  void clear_pending() noexcept { word_.fetch_and(~kPending, std::memory_order_acquire); }

  // Lets go although PENDING is set: whoever is notified afterwards will ring and take.
  void drop() noexcept { word_.fetch_and(~kHeld, std::memory_order_release); }

 private:
  alignas(kCacheLineBytes) typename Atom::template Atomic<std::uint32_t> word_{0};
};

}  // namespace inferkit
