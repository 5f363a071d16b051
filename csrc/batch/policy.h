// The batching rule: a pure function of what is queued, what was measured, and the time.
#pragma once

#include <compare>
#include <cstdint>
#include <span>

#include "base/clock.h"
#include "batch/latency_table.h"

namespace inferkit {

// Where a request stands in its lane: smaller goes first.
struct Order {
  std::int64_t rank = 0;  // ageing epoch less priority: one step of waiting is worth one priority
  // Of the same rank the higher priority first: an epoch may end between two that come together,
  // and who came a moment before it has not waited a step longer.
  std::int64_t behind = 0;  // priority, negated
  TimeNs deadline = kNever;
  std::uint64_t sequence = 0;
  friend auto operator<=>(const Order&, const Order&) = default;
};

inline constexpr DurationNs kAgeingStep = kSecond;

[[nodiscard]] constexpr Order order_of(std::int32_t priority, TimeNs arrival, TimeNs deadline,
                                       std::uint64_t sequence) noexcept {
  const std::int64_t behind = -std::int64_t{priority};
  return {arrival / kAgeingStep + behind, behind, deadline, sequence};
}

// What the rule may know of a lane that holds at least one request.
struct LaneState {
  std::uint32_t rows = 0;
  std::uint32_t head_rows = 0;              // of the first request, which every batch must take
  std::uint32_t load_rows = 0;              // queued and running at once: the most of late
  std::uint32_t ceiling_rows = UINT32_MAX;  // more found no memory lately
  bool running = false;                     // on another instance
  Order head;
  TimeNs oldest_arrival = 0;
  TimeNs earliest_deadline = kNever;
  DurationNs arrival_gap = kNever;        // expected time to the next arrival; kNever: unknown
  const LatencyTable* latency = nullptr;  // learned from live runs, whatever else went on
  const LatencyTable* quiet =
      nullptr;  // of warm-up, may be null: compares sizes, none of which moves alone
};

struct BatchLimits {
  std::uint32_t max_rows = 64;        // that any batch takes
  std::uint32_t preferred_rows = 64;  // of a batch of several: where a row is cheapest
  DurationNs max_delay = 0;
  std::uint32_t instances = 1;
};

struct Decision {
  enum class Kind : std::uint8_t { idle, run, wait };
  Kind kind = Kind::idle;
  std::uint32_t lane = 0;  // run: index into the lanes given
  std::uint32_t rows = 0;  // run: take up to so many rows, at least the first request
  TimeNs until = kNever;   // wait: decide again then, or when something arrives
};

// What to do with one free instance. Expired and cancelled requests are out of the lanes already.
[[nodiscard]] Decision decide(std::span<const LaneState> lanes, const BatchLimits& limits,
                              std::uint32_t free_instances, TimeNs now) noexcept;

// Cost of waking a sleeping thread on another core, charged to a split (measured 35-130 us).
inline constexpr DurationNs kHandOff = 60 * kMicrosecond;
// Held back from a deadline for scatter and delivery.
inline constexpr DurationNs kDeadlineMargin = 500 * kMicrosecond;

}  // namespace inferkit
