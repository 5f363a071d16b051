// What the protocols are templated on while they are explored.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

#include "base/clock.h"
#include "testing/explorer/execution.h"

namespace inferkit::explorer {

// std::atomic, as far as inferkit uses it: each operation is a step of the run and may be weakened
// where it stands in the source. Outside of a run it is a plain variable.
// Threads: the fibers of a run. Owns: its history. Blocks: wait().
template <class T>
class Atomic {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t));
  using Order = std::memory_order;
  using At = std::source_location;
  static constexpr Order kStrongest = std::memory_order_seq_cst;

 public:
  Atomic() : Atomic(T{}) {}
  Atomic(T value) { location_.history.push_back({bits(value), {}}); }  // NOLINT: as std::atomic's
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  [[nodiscard]] T load(Order order = kStrongest, At at = At::current()) const {
    Execution* run = Execution::concurrent();
    if (run == nullptr) return value(location_.history.back().value);
    return value(run->load(location_, id_, run->access_at(at, Operation::load, order)));
  }
  void store(T desired, Order order = kStrongest, At at = At::current()) {
    Execution* run = Execution::concurrent();
    if (run == nullptr) {
      location_.history.back().value = bits(desired);
    } else {
      run->store(location_, id_, bits(desired), run->access_at(at, Operation::store, order));
    }
  }
  T exchange(T desired, Order order = kStrongest, At at = At::current()) {
    return modify(order, at, [&](T) { return desired; });
  }
  T fetch_add(T by, Order order = kStrongest, At at = At::current()) {
    return modify(order, at, [&](T old) { return static_cast<T>(old + by); });
  }
  T fetch_sub(T by, Order order = kStrongest, At at = At::current()) {
    return modify(order, at, [&](T old) { return static_cast<T>(old - by); });
  }
  T fetch_or(T by, Order order = kStrongest, At at = At::current()) {
    return modify(order, at, [&](T old) { return static_cast<T>(old | by); });
  }
  T fetch_and(T by, Order order = kStrongest, At at = At::current()) {
    return modify(order, at, [&](T old) { return static_cast<T>(old & by); });
  }
  bool compare_exchange_strong(T& expected, T desired, Order success, Order failure,
                               At at = At::current()) {
    return compare_exchange(expected, desired, false, success, failure, at);
  }
  bool compare_exchange_strong(T& expected, T desired, Order success, At at = At::current()) {
    return compare_exchange(expected, desired, false, success, on_failure(success), at);
  }
  bool compare_exchange_weak(T& expected, T desired, Order success, Order failure,
                             At at = At::current()) {
    return compare_exchange(expected, desired, true, success, failure, at);
  }
  bool compare_exchange_weak(T& expected, T desired, Order success, At at = At::current()) {
    return compare_exchange(expected, desired, true, success, on_failure(success), at);
  }

  void wait(T expected, TimeNs until, const At& at) const {
    Execution* run = Execution::concurrent();
    const Access access = run->access_at(at, Operation::wait, std::memory_order_relaxed);
    run->wait(location_, id_, bits(expected), until, access);
  }
  void wake(int count) const {
    if (Execution* run = Execution::concurrent()) run->wake(location_, count);
  }

 private:
  static constexpr Order on_failure(Order success) {
    return success == std::memory_order_acq_rel   ? std::memory_order_acquire
           : success == std::memory_order_release ? std::memory_order_relaxed
                                                  : success;
  }
  static std::uint64_t bits(T value) {
    std::uint64_t out = 0;
    std::memcpy(&out, &value, sizeof value);
    return out;
  }
  static T value(std::uint64_t bits) {
    T out;
    std::memcpy(&out, &bits, sizeof out);
    return out;
  }

  template <class F>
  T modify(Order order, const At& at, F f) {
    const auto on_bits = [&](std::uint64_t old) { return bits(f(value(old))); };
    if (Execution* run = Execution::concurrent()) {
      const Access access = run->access_at(at, Operation::modify, order);
      return value(run->modify(location_, id_, access, on_bits));
    }
    std::uint64_t& now = location_.history.back().value;
    const T before = value(now);
    now = on_bits(now);
    return before;
  }
  bool compare_exchange(T& expected, T desired, bool weak, Order success, Order failure,
                        const At& at) {
    std::uint64_t seen = bits(expected);
    bool exchanged = false;
    if (Execution* run = Execution::concurrent()) {
      exchanged = run->compare_exchange(location_, id_, seen, bits(desired), weak,
                                        run->access_at(at, Operation::compare, success),
                                        run->access_at(at, Operation::load, failure, true));
    } else {
      std::uint64_t& now = location_.history.back().value;
      exchanged = now == seen;
      (exchanged ? now : seen) = exchanged ? bits(desired) : now;
    }
    if (!exchanged) expected = value(seen);
    return exchanged;
  }

  mutable Location location_;
  mutable std::uint32_t id_ = ~0U;  // numbered when first used
};

// Data of which every access must happen after the last write, and every write after all accesses;
// otherwise the run fails. Threads: the fibers of a run. Owns: the value.
template <class T>
class Plain {
 public:
  Plain() = default;
  Plain(T value) : value_(value) {}  // NOLINT: as T itself
  Plain(const Plain& other) : value_(static_cast<T>(other)) {}
  Plain& operator=(const Plain& other) { return *this = static_cast<T>(other); }
  Plain& operator=(T value) {
    access(true);
    value_ = value;
    return *this;
  }
  operator T() const {  // NOLINT: as T itself
    access(false);
    return value_;
  }
  T operator->() const { return *this; }

 private:
  // The steps of each thread when it last wrote or read; 0: never.
  void access(bool writes) const {
    Execution* run = Execution::concurrent();
    if (run == nullptr) return;
    const View& view = run->view();
    for (std::size_t i = 0; i < kMaxThreads; ++i) {
      const std::uint32_t must = writes ? std::max(read_[i], written_[i]) : written_[i];
      if (i != run->thread() && view.steps(i) < must) {
        return run->fail(writes ? "data race: a write beside another access"
                                : "data race: a read beside a write");
      }
    }
    (writes ? written_ : read_)[run->thread()] = view.steps(run->thread()) + 1;
  }

  T value_{};
  mutable std::array<std::uint32_t, kMaxThreads> read_{};
  mutable std::array<std::uint32_t, kMaxThreads> written_{};
};

// In the place of StdAtom (base/atom.h), whose contract it keeps.
struct ExploredAtom {
  template <class T>
  using Atomic = explorer::Atomic<T>;
  template <class T>
  using Plain = explorer::Plain<T>;

  static void wait(const Atomic<std::uint32_t>& word, std::uint32_t expected, TimeNs until,
                   std::source_location at = std::source_location::current()) {
    word.wait(expected, until, at);
  }
  static void wake(const Atomic<std::uint32_t>& word, int count) { word.wake(count); }
  [[nodiscard]] static std::uint32_t counts_from() {
    const Execution* run = Execution::current();
    return run == nullptr ? 0 : run->counts_from();
  }
  static void yield() { pause(); }
  static void pause() {
    if (Execution* run = Execution::concurrent()) run->pause();
  }
};

// The time of the run, which stands still but for time-outs and take_time().
class ExploredClock final : public Clock {
 public:
  [[nodiscard]] TimeNs now() const noexcept override {
    const Execution* run = Execution::current();
    return run == nullptr ? kMillisecond : run->now();
  }
};

}  // namespace inferkit::explorer
