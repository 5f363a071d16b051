// A snapshot of what an engine has done.
#pragma once

#include <cstdint>
#include <map>

#include "base/fields.h"
#include "memory/pool_stats.h"

namespace inferkit {

// accepted = answered + failed + cancelled + expired + closed + in_flight at quiet points.
struct EngineCounters {
  std::uint64_t accepted = 0;
  std::uint64_t answered = 0;
  std::uint64_t failed = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t expired = 0;
  std::uint64_t closed = 0;
  std::uint64_t in_flight = 0;
  std::uint64_t undeliverable = 0;
  std::uint64_t rejected = 0;
  std::uint64_t batches = 0;
  std::uint64_t rows = 0;
  std::uint64_t retried_batches = 0;
  std::uint64_t lent_runs = 0;
  std::uint64_t inline_runs = 0;
  std::uint64_t runner_wakes = 0;
  std::uint64_t keeper_wakes = 0;
  std::uint64_t caller_wakes = 0;
  std::uint64_t sink_wakes = 0;
  std::uint64_t queued_bytes = 0;
};

constexpr auto fields(Of<EngineCounters>) {
  using C = EngineCounters;
  return std::tuple{
      field(&C::accepted, "accepted", "requests", "Requests taken in."),
      field(&C::answered, "answered", "requests", "Requests that got a result."),
      field(&C::failed, "failed", "requests", "Requests that got an error of the backend."),
      field(&C::cancelled, "cancelled", "requests", "Requests taken back by their caller."),
      field(&C::expired, "expired", "requests", "Requests whose timeout ran out."),
      field(&C::closed, "closed", "requests", "Requests that close() answered without a run."),
      field(&C::in_flight, "in_flight", "requests", "Queued or running now, counted one by one."),
      field(&C::undeliverable, "undeliverable", "requests",
            "Answered or failed, but nobody was left to take it."),
      field(&C::rejected, "rejected", "requests", "Refused at the door: there was no room."),
      field(&C::batches, "batches", "batches", "Batches that ran."),
      field(&C::rows, "rows", "rows", "Rows in them."),
      field(&C::retried_batches, "retried_batches", "batches",
            "Batches that failed, or kept a caller's thread too long, and ran again."),
      field(&C::lent_runs, "lent_runs", "batches", "Batches run by the thread of a caller."),
      field(&C::inline_runs, "inline_runs", "batches", "Batches run by an event loop's thread."),
      field(&C::runner_wakes, "runner_wakes", "wakes", "Wakes of sleeping runner threads."),
      field(&C::keeper_wakes, "keeper_wakes", "wakes", "Wakes of the keeper of deadlines."),
      field(&C::caller_wakes, "caller_wakes", "wakes", "Wakes of blocked callers."),
      field(&C::sink_wakes, "sink_wakes", "wakes", "Wakes of event loops and the notifier."),
      field(&C::queued_bytes, "queued_bytes", "bytes", "Taken from max_pending_bytes now."),
  };
}

static_assert(fields_complete<EngineCounters>());

struct EngineStats : EngineCounters {
  PoolStats pool;
  std::map<std::uint32_t, std::uint64_t> batch_sizes;  // rows of a batch -> how many such batches
};

}  // namespace inferkit
