// How much memory this process may really use.
#pragma once

#include <cstdint>
#include <string>

namespace inferkit {

// The smaller of what the machine has and what the process's control groups allow; 0 where neither
// can be told. Read anew each time.
// Threads: any. Blocks: reads small kernel files on Linux. Throws: never.
[[nodiscard]] std::uint64_t usable_memory_bytes() noexcept;

// What the control groups alone allow; 0: no limit. `root`: before /proc and /sys, for tests with a
// tree of their own. Throws: std::exception for numbers that are none.
[[nodiscard]] std::uint64_t memory_limit_bytes(const std::string& root);

}  // namespace inferkit
