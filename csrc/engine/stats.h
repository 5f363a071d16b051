// A snapshot of what an engine has done.
#pragma once

#include <cstdint>
#include <map>

#include "memory/tensor_pool.h"

namespace inferkit {

// accepted = answered + failed + cancelled + expired + closed + in_flight at quiet points.
struct EngineStats {
  std::uint64_t accepted = 0;
  std::uint64_t answered = 0;
  std::uint64_t failed = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t expired = 0;
  std::uint64_t closed = 0;
  std::uint64_t in_flight = 0;      // counted in the slab
  std::uint64_t undeliverable = 0;  // part of answered + failed: nobody was left to take it
  std::uint64_t rejected = 0;       // refused at the door: the queue was full
  std::uint64_t batches = 0;
  std::uint64_t rows = 0;
  std::uint64_t retried_batches = 0;  // failed and run again in smaller ones
  std::uint64_t lent_runs = 0;        // on the thread of a blocked caller
  std::uint64_t inline_runs = 0;      // on an event loop's thread
  std::uint64_t runner_wakes = 0;
  std::uint64_t keeper_wakes = 0;
  std::uint64_t caller_wakes = 0;  // futex wakes of blocked callers
  std::uint64_t sink_wakes = 0;    // of event loops and the notifier
  std::uint64_t queued_bytes = 0;  // taken from max_pending_bytes now
  PoolStats pool;
  std::map<std::uint32_t, std::uint64_t> batch_sizes;  // rows of a batch -> how many such batches
};

}  // namespace inferkit
