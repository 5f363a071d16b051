// What a session may be told about how it batches.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"

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
  BatchAxis batch_axis = BatchAxis::automatic;
  bool warmup = true;
  DurationNs inline_budget_ns = 100 * kMicrosecond;
  std::string name;
};

inline constexpr std::uint32_t kAutoBatchRows = 64;
inline constexpr std::uint32_t kMaxInstances = 32;

}  // namespace inferkit
