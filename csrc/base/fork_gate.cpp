#include "base/fork_gate.h"

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdint>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/parker.h"

namespace inferkit {
namespace {

// One fork at a time.
constinit std::mutex forks;

// How many are inside, and how many fork or wait for that: these hold back who comes meanwhile, or
// loads that overlap would never let them. A word and no condition variable: a child has a copy of
// that with sleepers whom it does not have.
constexpr std::uint32_t kOneForks = 1;
constexpr std::uint32_t kOneInside = 1 << 16;
constinit std::atomic<std::uint32_t> state{0};

// Loads wait for forks until then, and not for ever: what runs before a fork may wait for one of
// them. At worst a child is refused. Relaxed: published by state.
constinit std::atomic<TimeNs> gate_opens{0};

constinit std::atomic<bool> refused{false};  // this process was forked in the midst

// Of this thread, which has closed the gate for the fork that it is about to make; kNever: not so.
constinit thread_local TimeNs patience_ends = kNever;

// True: somebody was inside.
bool wait_until(TimeNs end) noexcept {
  std::uint32_t seen = state.load(std::memory_order_acquire);  // pairs with ~Unforked()
  const bool waits = seen >= kOneInside;
  while (seen >= kOneInside && steady_clock().now() < end) {
    parker::wait(state, seen, end);
    seen = state.load(std::memory_order_acquire);
  }
  return waits;
}

void let_in() noexcept {
  state.fetch_sub(kOneForks, std::memory_order_release);  // pairs with Unforked()
  parker::wake(state, INT_MAX);
}

}  // namespace

Unforked::Unforked() {
  if (refused.load(std::memory_order_relaxed)) {
    fail(ErrorCode::model_load, "this process was forked while another thread had been loading ",
         "a model for more than ", kForkWait / kSecond, " s, and would wait for ONNX ",
         "Runtime's locks for ever; fork before or after a load");
  }
  const bool own = patience_ends != kNever;  // the gate is closed by this very thread
  const TimeNs latest = steady_clock().now() + kForkWait;
  std::uint32_t seen = state.load(std::memory_order_acquire);  // pairs with await_unforked()
  for (;;) {
    const TimeNs until = std::min(latest, gate_opens.load(std::memory_order_relaxed));
    if (!own && seen % kOneInside != 0 && steady_clock().now() < until) {
      parker::wait(state, seen, until);
      seen = state.load(std::memory_order_acquire);
    } else if (state.compare_exchange_weak(seen, seen + kOneInside, std::memory_order_acquire,
                                           std::memory_order_acquire)) {
      return;  // acquire: pairs with let_in()
    }
  }
}

Unforked::~Unforked() {
  state.fetch_sub(kOneInside, std::memory_order_release);
  parker::wake(state, INT_MAX);  // a syscall is nothing beside a load
}

bool await_unforked(DurationNs wait) noexcept {
  const TimeNs now = steady_clock().now();
  gate_opens.store(now + kForkWait, std::memory_order_relaxed);
  if (patience_ends == kNever) state.fetch_add(kOneForks, std::memory_order_release);
  patience_ends = now + wait;
  return wait_until(patience_ends);
}

void give_fork_up() noexcept {
  if (std::exchange(patience_ends, kNever) != kNever) let_in();
}

void close_fork_gate(DurationNs wait) noexcept {
  forks.lock();
  if (patience_ends == kNever) {
    static_cast<void>(await_unforked(wait));
  } else {
    static_cast<void>(wait_until(patience_ends));
  }
  patience_ends = kNever;
}

void open_fork_gate() noexcept {
  let_in();
  forks.unlock();
}

void open_fork_gate_in_child() noexcept {
  if (state.load(std::memory_order_relaxed) >= kOneInside) {
    refused.store(true, std::memory_order_relaxed);
  }
  state.store(0, std::memory_order_relaxed);
  forks.unlock();
}

}  // namespace inferkit
