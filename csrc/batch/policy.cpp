#include "batch/policy.h"

#include <algorithm>

namespace inferkit {
namespace {

// Callers need time between an answer and their next request. Where one part of all rows is on each
// instance and one more is on its way, no instance waits for them (docs/adr/0008). All rows: those
// of the callers who are on their way now count, so what counts is the most of late.
std::uint32_t pipelined_rows(const LaneState& lane, const BatchLimits& limits, std::uint32_t rows,
                             const LatencyTable& table) noexcept {
  if (limits.instances < 2 || !lane.running) return rows;
  const std::uint32_t parts = limits.instances + 1;
  const std::uint32_t part = (lane.load_rows + parts - 1) / parts;
  return part < rows ? table.smallest_good_rows(part, rows) : rows;
}

// How many rows the next batch of this lane should take.
std::uint32_t batch_rows(const LaneState& lane, const BatchLimits& limits,
                         std::uint32_t free_instances) noexcept {
  std::uint32_t rows = std::min({lane.rows, limits.preferred_rows, lane.ceiling_rows});
  const bool quiet = lane.quiet != nullptr && lane.quiet->measured();
  const LatencyTable& table = quiet ? *lane.quiet : *lane.latency;
  if (rows > 1 && table.measured()) rows = pipelined_rows(lane, limits, rows, table);
  if (free_instances > 1 && rows > 1 && table.measured()) {
    const std::uint32_t share =
        (std::min(lane.rows, rows * free_instances) + free_instances - 1) / free_instances;
    // Two halves side by side beat one whole only if the half saves more than the hand-off costs.
    if (share < rows && table.mean(share) + kHandOff < table.mean(rows)) {
      rows = share;
    }
  }
  return std::max(rows, lane.head_rows);
}

// The time until which waiting for more rows pays; `now` or earlier when it does not.
TimeNs wait_until(const LaneState& lane, const BatchLimits& limits, TimeNs now) noexcept {
  if (limits.max_delay == 0 || lane.rows >= std::min(limits.preferred_rows, lane.ceiling_rows)) {
    return now;
  }
  const TimeNs patience = limits.max_delay < kNever - lane.oldest_arrival
                              ? lane.oldest_arrival + limits.max_delay
                              : kNever;
  const DurationNs saved = lane.latency->fixed_cost();
  const bool pays = lane.arrival_gap != kNever &&
                    static_cast<double>(lane.rows) * static_cast<double>(lane.arrival_gap) <
                        static_cast<double>(saved);
  // Nothing measured yet: the user asked for the delay, so the delay is what there is to go by.
  if (lane.latency->measured() && !pays) return now;
  if (lane.earliest_deadline == kNever) return patience;
  return std::min(patience,
                  lane.earliest_deadline - lane.latency->p99(lane.rows + 1) - kDeadlineMargin);
}

}  // namespace

Decision decide(std::span<const LaneState> lanes, const BatchLimits& limits,
                std::uint32_t free_instances, TimeNs now) noexcept {
  Decision decision;
  if (free_instances == 0) return decision;
  const LaneState* best = nullptr;
  for (const LaneState& lane : lanes) {
    const TimeNs until = wait_until(lane, limits, now);
    if (until > now) {
      if (decision.kind == Decision::Kind::idle) decision.kind = Decision::Kind::wait;
      decision.until = std::min(decision.until, until);
      continue;
    }
    if (best == nullptr || lane.head < best->head) best = &lane;
  }
  if (best == nullptr) return decision;
  decision.kind = Decision::Kind::run;
  decision.lane = static_cast<std::uint32_t>(best - lanes.data());
  decision.rows = batch_rows(*best, limits, free_instances);
  return decision;
}

}  // namespace inferkit
