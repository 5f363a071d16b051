// What a session may be told about how it batches.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/fields.h"

namespace inferkit {

enum class BatchAxis : std::uint8_t {
  automatic,  // axis 0 if the model allows it
  first,      // axis 0, or refuse to open
  none        // one request at a time
};

struct EngineOptions {
  std::uint32_t max_batch_rows = 0;  // 0: automatic (64, or 1 where warm-up shows batching loses)
  DurationNs max_delay_ns = 0;
  std::uint32_t instances = 0;  // 0: one per usable core
  std::uint32_t max_pending = 1024;
  std::uint64_t max_pending_bytes = 256ULL << 20;
  std::uint64_t max_memory_bytes = 0;  // 0: automatic
  BatchAxis batch_axis = BatchAxis::automatic;
  bool warmup = true;
  DurationNs inline_budget_ns = 100 * kMicrosecond;
  std::string name;
};

inline constexpr std::uint32_t kAutoBatchRows = 64;
inline constexpr std::uint32_t kMaxInstances = 32;

// Named as users of inferkit.Session know them; inferkit._options reads the ranges.
constexpr auto fields(Of<EngineOptions>) {
  using O = EngineOptions;
  return std::tuple{
      field(&O::max_batch_rows, "max_batch_size", "rows", "Most rows of a batch; 0 is automatic.",
            {0, 1U << 20}),
      field(&O::max_delay_ns, "max_delay", "ns", "Longest wait for more rows, where it pays.",
            {0, 3600 * kSecond}),
      field(&O::instances, "instances", "", "Batches that may run at once; 0: one per usable core.",
            {0, kMaxInstances}),
      field(&O::max_pending, "max_pending", "requests", "Accepted and not yet answered.",
            {1, (1U << 20) - 1}),
      field(&O::max_pending_bytes, "max_pending_bytes", "bytes",
            "Inputs of requests accepted and not yet answered.", {1, 1ULL << 46}),
      field(&O::max_memory_bytes, "max_memory_bytes", "bytes",
            "Everything that requests, batches, runs and results hold; 0 is automatic.",
            {0, 1ULL << 46}),
      field(&O::batch_axis, "batch_axis", "", "Whether axis 0 counts rows."),
      field(&O::warmup, "warmup", "", "Try the model out while opening."),
      field(&O::inline_budget_ns, "inline_budget", "ns",
            "Longest run on an event loop's own thread, per turn of the loop.", {0, kSecond}),
      field(&O::name, "name", "", "What explain() and logs call the session."),
  };
}

static_assert(fields_complete<EngineOptions>());

}  // namespace inferkit
