// How much of a pool is in other hands.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/atom.h"

namespace inferkit {

// Counts keepers (holders of blocks and, once, the holder of the pool's handle) and their bytes in
// one word, so that both cost one atomic operation and agree with each other.
// Threads: any. Blocks: never. Throws: never.
template <class Atom>
class Lent {
 public:
  static constexpr std::size_t kUnitBytes = 128;  // every size class is a multiple
  static constexpr std::uint32_t kMaxKeepers = (1U << 24) - 1;

  // relaxed: whoever adds is, or came through, a keeper that stays until after this call.
  void add(std::size_t bytes) noexcept {
    word_.fetch_add(kKeeper + bytes / kUnitBytes, std::memory_order_relaxed);
  }

  // True for the last keeper. acq_rel: pairs with itself; whatever the others did with what they
  // held happened before the last one goes on.
  [[nodiscard]] bool drop(std::size_t bytes) noexcept {
    const std::uint64_t change = kKeeper + bytes / kUnitBytes;
    return word_.fetch_sub(change, std::memory_order_acq_rel) == change;
  }

  // relaxed: numbers for people and for hints.
  [[nodiscard]] std::uint64_t keepers() const noexcept {
    return word_.load(std::memory_order_relaxed) / kKeeper;
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept {
    return word_.load(std::memory_order_relaxed) % kKeeper * kUnitBytes;
  }

 private:
  static constexpr std::uint64_t kKeeper = std::uint64_t{1} << 40;

  alignas(kCacheLineBytes) typename Atom::template Atomic<std::uint64_t> word_{0};
};

}  // namespace inferkit
