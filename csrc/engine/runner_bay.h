// Where runner threads sleep, and how they are called.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/atom.h"

namespace inferkit {

// A word per runner: busy, parked, called (woken from its sleep, has not looked yet), poked (told
// while busy to look again). A call is never lost: it stays in the word until consumed, which a
// runner does before it looks. Assigned leases are a bit mask beside the words.
// Threads: notify and assign from any; the rest by the runners. Blocks: park() only.
template <class Atom>
class RunnerBay {
 public:
  explicit RunnerBay(std::uint32_t runners)
      : runners_(runners), words_(std::make_unique<Word[]>(runners)) {}

  // The lease's batch is ready and no caller will run it. release: pairs with take_assigned().
  void assign(std::uint32_t lease) noexcept {
    assigned_.fetch_or(1U << lease, std::memory_order_release);
  }

  // A lease to run, or -1. acquire: the batch's contents.
  [[nodiscard]] int take_assigned() noexcept {
    std::uint32_t mask = assigned_.load(std::memory_order_relaxed);
    while (mask != 0) {
      if (assigned_.compare_exchange_weak(mask, mask & (mask - 1), std::memory_order_acquire,
                                          std::memory_order_relaxed)) {
        return __builtin_ctz(mask);
      }
    }
    return -1;
  }

  // Asks for a runner to look at its slots and at the bell. With `unless_called`, one that was
  // called and has not looked yet is enough. True: a sleeper was woken.
  bool notify(bool unless_called) noexcept {
    if (unless_called && confirm_called()) return false;
    for (std::uint32_t i = 0; i < runners_; ++i) {
      std::uint32_t expected = kParked;
      if (words_[i].state.compare_exchange_strong(expected, kCalled, std::memory_order_release,
                                                  std::memory_order_relaxed)) {
        Atom::wake(words_[i].state, 1);
        return true;
      }
    }
    // All are awake: whoever is next to look must look once more.
    for (std::uint32_t i = 0; i < runners_; ++i) {
      if (words_[i].state.exchange(kPoked, std::memory_order_release) == kParked) {
        Atom::wake(words_[i].state, 1);
        return true;
      }
    }
    return false;
  }

  void notify_all() noexcept {
    for (std::uint32_t i = 0; i < runners_; ++i) {
      words_[i].state.exchange(kPoked, std::memory_order_release);
      Atom::wake(words_[i].state, 1);
    }
  }

  // By runner `me`, before it looks for work. acquire: pairs with notify's release.
  void consume(std::uint32_t me) noexcept {
    words_[me].state.exchange(kBusy, std::memory_order_acquire);
  }

  // Sleeps until called; returns at once if that happened since consume().
  void park(std::uint32_t me) noexcept {
    std::uint32_t expected = kBusy;
    if (!words_[me].state.compare_exchange_strong(expected, kParked, std::memory_order_relaxed)) {
      return;
    }
    while (words_[me].state.load(std::memory_order_relaxed) == kParked) {
      Atom::wait(words_[me].state, kParked, kNever);
    }
  }

 private:
  static constexpr std::uint32_t kBusy = 0;
  static constexpr std::uint32_t kParked = 1;
  static constexpr std::uint32_t kCalled = 2;
  static constexpr std::uint32_t kPoked = 3;

  // A runner is on its way to look. The RMW makes it certain: either the runner's consuming
  // exchange comes after it and sees what we did, or it fails. release: pairs with consume().
  [[nodiscard]] bool confirm_called() noexcept {
    for (std::uint32_t i = 0; i < runners_; ++i) {
      std::uint32_t expected = kCalled;
      if (words_[i].state.load(std::memory_order_relaxed) == kCalled &&
          words_[i].state.compare_exchange_strong(expected, kCalled, std::memory_order_release,
                                                  std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  struct alignas(kCacheLineBytes) Word {
    typename Atom::template Atomic<std::uint32_t> state{kBusy};
  };

  const std::uint32_t runners_;
  std::unique_ptr<Word[]> words_;
  typename Atom::template Atomic<std::uint32_t> assigned_{0};
};

}  // namespace inferkit
