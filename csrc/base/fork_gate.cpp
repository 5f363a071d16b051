#include "base/fork_gate.h"

#include <atomic>
#include <climits>
#include <cstdint>
#include <mutex>

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

constinit std::atomic<bool> refused{false};  // this process was forked in the midst

// Of this thread, which has closed the gate for the fork that it is about to make; kNever: not so.
constinit thread_local TimeNs patience_ends = kNever;

void wait_until(TimeNs end) noexcept {
  std::uint32_t seen = state.load(std::memory_order_acquire);  // pairs with ~Unforked()
  while (seen >= kOneInside && steady_clock().now() < end) {
    parker::wait(state, seen, end);
    seen = state.load(std::memory_order_acquire);
  }
}

}  // namespace

Unforked::Unforked() {
  if (refused.load(std::memory_order_relaxed)) {
    fail(ErrorCode::model_load, "this process was forked while another thread had been loading ",
         "a model for more than ", kForkWait / kSecond, " s, and would wait for ONNX ",
         "Runtime's locks for ever; fork before or after a load");
  }
  // Not for ever: what runs before the fork that the gate is closed for may wait for this thread.
  // At worst a child is refused.
  const TimeNs until = patience_ends == kNever ? steady_clock().now() + kForkWait : 0;
  std::uint32_t seen = state.load(std::memory_order_relaxed);
  for (;;) {
    if (seen % kOneInside != 0 && steady_clock().now() < until) {
      parker::wait(state, seen, until);
      seen = state.load(std::memory_order_relaxed);
    } else if (state.compare_exchange_weak(seen, seen + kOneInside, std::memory_order_acquire,
                                           std::memory_order_relaxed)) {
      return;  // acquire: pairs with open_fork_gate()
    }
  }
}

Unforked::~Unforked() {
  state.fetch_sub(kOneInside, std::memory_order_release);
  parker::wake(state, INT_MAX);  // a syscall is nothing beside a load
}

void await_unforked(DurationNs wait) noexcept {
  if (patience_ends == kNever) state.fetch_add(kOneForks, std::memory_order_relaxed);
  patience_ends = steady_clock().now() + wait;
  wait_until(patience_ends);
}

void close_fork_gate(DurationNs wait) noexcept {
  forks.lock();
  if (patience_ends == kNever) await_unforked(wait);
  wait_until(patience_ends);
  patience_ends = kNever;
}

void open_fork_gate() noexcept {
  state.fetch_sub(kOneForks, std::memory_order_release);  // pairs with Unforked()
  parker::wake(state, INT_MAX);
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
