// How much may be accepted and not yet answered.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/atom.h"

namespace inferkit {

// Two budgets in one word, so that one CAS takes both: requests, and bytes in steps of 64. The
// word also says "closed" and "somebody waits", hence no store-load race between a waiter that
// finds it full and a giver that finds nobody waiting.
// Threads: any. Blocks: only wait().
template <class Atom>
class Credits {
 public:
  enum class Take : std::uint8_t { taken, full, closed };

  static constexpr std::uint64_t kByteStep = 64;
  static constexpr std::uint32_t kMaxRequests = (1U << 20) - 1;

  Credits(std::uint32_t max_requests, std::uint64_t max_bytes) noexcept
      : max_requests_(max_requests), max_steps_(max_bytes / kByteStep) {}

  [[nodiscard]] static std::uint64_t steps(std::uint64_t bytes) noexcept {
    return bytes / kByteStep + (bytes % kByteStep != 0 ? 1 : 0);  // must not wrap
  }
  // Whether `bytes` could ever be granted.
  [[nodiscard]] bool can_hold(std::uint64_t bytes) const noexcept {
    return steps(bytes) <= max_steps_;
  }

  [[nodiscard]] std::size_t max_requests() const noexcept { return max_requests_; }

  [[nodiscard]] Take take(std::uint64_t bytes) noexcept { return attempt(bytes, 0); }

  // As take(), but on `full` leaves word that somebody waits. Call epoch() first, then this, then
  // wait(epoch): a give between any two of them ends the wait.
  [[nodiscard]] Take take_or_announce(std::uint64_t bytes) noexcept {
    return attempt(bytes, kWaiting);
  }

  // True: somebody waits for room, and the caller owes one wake_waiters().
  [[nodiscard]] bool give(std::uint64_t bytes) noexcept {
    const std::uint64_t amount = kOneRequest + steps(bytes);
    // release: pairs with the acquire in attempt(): what the giver did with the record is done.
    const std::uint64_t before = word_.fetch_sub(amount, std::memory_order_release);
    return (before & kWaiting) != 0;
  }

  void wake_waiters() noexcept {
    word_.fetch_and(~kWaiting, std::memory_order_relaxed);  // only a hint; epoch_ carries the order
    epoch_.fetch_add(1, std::memory_order_release);         // pairs with epoch()'s acquire
    Atom::wake(epoch_, kEverybody);
  }

  [[nodiscard]] std::uint32_t epoch() const noexcept {
    return epoch_.load(std::memory_order_acquire);
  }
  void wait(std::uint32_t epoch, TimeNs until) noexcept { Atom::wait(epoch_, epoch, until); }

  // Leaves word that somebody waits, though there is room: for something else that givers bring.
  // seq_cst, with announced(): he looks again afterwards.
  void announce() noexcept { word_.fetch_or(kWaiting, std::memory_order_seq_cst); }
  [[nodiscard]] bool announced() const noexcept {
    return (word_.load(std::memory_order_seq_cst) & kWaiting) != 0;
  }

  // Announces a waiter for the moment when everything has been given back; false: it has.
  [[nodiscard]] bool announce_unless_idle() noexcept {
    // acquire, where it may be found idle: pairs with give().
    std::uint64_t seen = word_.load(std::memory_order_acquire);
    while ((seen & ~(kClosed | kWaiting)) != 0) {
      if (word_.compare_exchange_weak(seen, seen | kWaiting, std::memory_order_relaxed,
                                      std::memory_order_acquire)) {
        return true;
      }
    }
    return false;
  }

  // relaxed: nothing is published with it; attempt() refuses by the word itself.
  void close() noexcept { word_.fetch_or(kClosed, std::memory_order_relaxed); }
  [[nodiscard]] bool closed() const noexcept {
    return (word_.load(std::memory_order_relaxed) & kClosed) != 0;
  }
  // relaxed, here and below: for people.
  [[nodiscard]] std::uint32_t requests() const noexcept {
    const std::uint64_t word = word_.load(std::memory_order_relaxed);
    return static_cast<std::uint32_t>((word / kOneRequest) & kMaxRequests);
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept {
    return (word_.load(std::memory_order_relaxed) & (kOneRequest - 1)) * kByteStep;
  }

 private:
  static constexpr int kEverybody = 1 << 30;
  static constexpr std::uint64_t kOneRequest = 1ULL << 42;  // below: byte steps, above: requests
  static constexpr std::uint64_t kWaiting = 1ULL << 62;
  static constexpr std::uint64_t kClosed = 1ULL << 63;

  [[nodiscard]] Take attempt(std::uint64_t bytes, std::uint64_t mark_if_full) noexcept {
    const std::uint64_t want = steps(bytes);
    // relaxed: a first guess. Who finds it full, and that another waits, leaves it at that: room
    // made before his epoch() he would see, by its acquire, and what is made later ends his wait.
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    for (;;) {
      if ((word & kClosed) != 0) return Take::closed;
      const std::uint64_t requests = (word / kOneRequest) & kMaxRequests;
      const std::uint64_t used = word & (kOneRequest - 1);
      const bool full = requests >= max_requests_ || used + want > max_steps_;
      const std::uint64_t next = full ? word | mark_if_full : word + kOneRequest + want;
      if (full && next == word) return Take::full;
      // acquire: pairs with give()'s release, the room was really vacated.
      if (word_.compare_exchange_weak(word, next, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return full ? Take::full : Take::taken;
      }
    }
  }

  const std::uint64_t max_requests_;
  const std::uint64_t max_steps_;
  alignas(kCacheLineBytes) typename Atom::template Atomic<std::uint64_t> word_{0};
  typename Atom::template Atomic<std::uint32_t> epoch_{Atom::counts_from()};
};

}  // namespace inferkit
