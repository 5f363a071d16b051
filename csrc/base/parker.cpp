#include "base/parker.h"

#include <thread>

#if defined(__linux__)

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

namespace inferkit::parker {
namespace {

static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t),
              "the futex word is the atomic itself");

long futex(const std::atomic<std::uint32_t>& word, int op, std::uint32_t value,
           const timespec* until) noexcept {
  // WAIT_BITSET takes an absolute CLOCK_MONOTONIC deadline, so a spurious wake needs no arithmetic.
  return syscall(SYS_futex, &word, op | FUTEX_PRIVATE_FLAG, value, until, nullptr,
                 FUTEX_BITSET_MATCH_ANY);
}

}  // namespace

void wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected, TimeNs until) noexcept {
  timespec at{};
  if (until != kNever) {
    at.tv_sec = static_cast<time_t>(until / kSecond);
    at.tv_nsec = static_cast<long>(until % kSecond);
    if (until < 0) at = timespec{};
  }
  futex(word, FUTEX_WAIT_BITSET, expected, until == kNever ? nullptr : &at);
}

void wake(const std::atomic<std::uint32_t>& word, int count) noexcept {
  futex(word, FUTEX_WAKE_BITSET, static_cast<std::uint32_t>(count), nullptr);
}

}  // namespace inferkit::parker

#else

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace inferkit::parker {
namespace {

// Sixty-four shared beds: a wake may rouse a stranger, which loops and lies down again.
struct Bed {
  std::mutex mutex;
  std::condition_variable ready;
};

Bed& bed_of(const void* address) noexcept {
  static Bed* const beds = new Bed[64];  // leaked: sleepers may outlive static destruction
  return beds[(reinterpret_cast<std::uintptr_t>(address) >> 6) % 64];
}

}  // namespace

void wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected, TimeNs until) noexcept {
  Bed& bed = bed_of(&word);
  std::unique_lock lock(bed.mutex);
  if (word.load(std::memory_order_acquire) != expected) return;
  if (until == kNever) {
    bed.ready.wait(lock);
  } else {
    bed.ready.wait_until(lock,
                         std::chrono::steady_clock::time_point(std::chrono::nanoseconds(until)));
  }
}

void wake(const std::atomic<std::uint32_t>& word, int) noexcept {
  Bed& bed = bed_of(&word);
  // Taking the mutex orders the caller's store before a sleeper's check.
  const std::lock_guard lock(bed.mutex);
  bed.ready.notify_all();
}

}  // namespace inferkit::parker

#endif

namespace inferkit::parker {

void let_others_go_first() noexcept { std::this_thread::yield(); }

}  // namespace inferkit::parker
