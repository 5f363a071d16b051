// A number of bytes that may not be passed.
#pragma once

#include <cstdint>

#include "base/atom.h"

namespace inferkit {

// Threads: any. Owns: nothing, it counts. Blocks: never. Throws: never.
template <class Atom>
class ByteBudget {
 public:
  explicit ByteBudget(std::uint64_t limit_bytes) noexcept : limit_bytes_(limit_bytes) {}

  // False: there is no room, and nothing was taken.
  [[nodiscard]] bool take(std::uint64_t bytes) noexcept {
    // relaxed, here and below: a number. What lies in the bytes is handed on by other means.
    std::uint64_t used = used_.load(std::memory_order_relaxed);
    do {
      if (bytes > limit_bytes_ - used) return false;
    } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
    return true;
  }

  void give(std::uint64_t bytes) noexcept { used_.fetch_sub(bytes, std::memory_order_relaxed); }

  [[nodiscard]] std::uint64_t limit_bytes() const noexcept { return limit_bytes_; }
  [[nodiscard]] std::uint64_t used_bytes() const noexcept {
    return used_.load(std::memory_order_relaxed);
  }

 private:
  const std::uint64_t limit_bytes_;
  alignas(kCacheLineBytes) typename Atom::template Atomic<std::uint64_t> used_{0};
};

}  // namespace inferkit
