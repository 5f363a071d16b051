// What the protocols are templated on: std::atomic in production, anything that records in proofs.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"
#include "base/parker.h"

namespace inferkit {

// The production policy. A replacement offers the same seven names.
struct StdAtom {
  template <class T>
  using Atomic = std::atomic<T>;
  // Data that an atomic beside it guards.
  template <class T>
  using Plain = T;

  // Where counters start that are compared for equality only, and so may wrap.
  [[nodiscard]] static constexpr std::uint32_t counts_from() noexcept { return 0; }

  static void wait(const Atomic<std::uint32_t>& word, std::uint32_t expected,
                   TimeNs until) noexcept {
    parker::wait(word, expected, until);
  }
  static void wake(const Atomic<std::uint32_t>& word, int count) noexcept {
    parker::wake(word, count);
  }
  static void yield() noexcept { parker::let_others_go_first(); }
  static void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
};

inline constexpr std::size_t kCacheLineBytes = 64;

}  // namespace inferkit
