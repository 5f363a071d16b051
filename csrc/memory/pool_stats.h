// What a tensor pool says about itself.
#pragma once

#include <cstdint>

#include "base/fields.h"

namespace inferkit {

// A snapshot; exact at quiet points. While others allocate or release, a block on its way back
// may still count as in use.
struct PoolStats {
  std::uint64_t bytes_reserved = 0;
  std::uint64_t bytes_in_use = 0;
  std::uint64_t blocks_in_use = 0;
  std::uint64_t allocations = 0;
  std::uint64_t misses = 0;
};

constexpr auto fields(Of<PoolStats>) {
  return std::tuple{
      field(&PoolStats::bytes_reserved, "pool_bytes_reserved", "bytes",
            "Memory held from the system, what runs compute in included; never above the budget."),
      field(&PoolStats::bytes_in_use, "pool_bytes_in_use", "bytes",
            "Memory that requests, batches, runs and results hold."),
      field(&PoolStats::blocks_in_use, "pool_blocks_in_use", "blocks",
            "Blocks that requests, batches, runs and results hold."),
      field(&PoolStats::allocations, "pool_allocations", "blocks", "Blocks given out so far."),
      field(&PoolStats::misses, "pool_misses", "blocks",
            "Blocks given out that were not lying ready; grows while the pool warms up."),
  };
}

static_assert(fields_complete<PoolStats>());

}  // namespace inferkit
