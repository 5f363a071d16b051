// Counts of what became of requests.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/atom.h"
#include "engine/stats.h"

namespace inferkit {

// Whoever wins a request's CAS into a state counts it, before the caller can see that state; so a
// caller that has its answer finds it counted.
// Threads: any. relaxed throughout: the numbers are compared at quiet points only.
template <class Atom>
class Ledger {
 public:
  class Counter {
   public:
    void add(std::uint64_t amount = 1) noexcept {
      value_.fetch_add(amount, std::memory_order_relaxed);
    }
    void take_back(std::uint64_t amount = 1) noexcept {
      value_.fetch_sub(amount, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t get() const noexcept {
      return value_.load(std::memory_order_relaxed);
    }

   private:
    typename Atom::template Atomic<std::uint64_t> value_{0};
  };

  explicit Ledger(std::uint32_t max_rows) : batch_sizes(max_rows + 1) {}

  void fill(EngineStats& stats) const {
    stats.accepted = accepted.get();
    stats.rejected = rejected.get();
    stats.answered = answered.get();
    stats.failed = failed.get();
    stats.cancelled = cancelled.get();
    stats.expired = expired.get();
    stats.closed = closed.get();
    stats.undeliverable = undeliverable.get();
    stats.batches = batches.get();
    stats.rows = rows.get();
    stats.retried_batches = retried_batches.get();
    stats.lent_runs = lent_runs.get();
    stats.inline_runs = inline_runs.get();
    stats.runner_wakes = runner_wakes.get();
    stats.keeper_wakes = keeper_wakes.get();
    stats.caller_wakes = caller_wakes.get();
    stats.sink_wakes = sink_wakes.get();
    for (std::uint32_t size = 0; size < batch_sizes.size(); ++size) {
      if (batch_sizes[size].get() != 0) stats.batch_sizes[size] = batch_sizes[size].get();
    }
  }

  // Touched by those who submit.
  alignas(kCacheLineBytes) Counter accepted;
  Counter rejected;
  // Touched by those who answer.
  alignas(kCacheLineBytes) Counter answered;
  Counter batches;
  Counter rows;
  Counter lent_runs;
  Counter inline_runs;
  Counter caller_wakes;
  Counter sink_wakes;
  // Rare.
  alignas(kCacheLineBytes) Counter failed;
  Counter cancelled;
  Counter expired;
  Counter closed;
  Counter undeliverable;
  Counter retried_batches;
  Counter runner_wakes;
  Counter keeper_wakes;
  std::vector<Counter> batch_sizes;
};

}  // namespace inferkit
