// How many cores this process may really use.
#pragma once

#include <string>

namespace inferkit {

// The smaller of the affinity mask and the cgroup's CPU quota (rounded up), at least 1. Read anew
// each time: both can change while the process lives.
// Threads: any. Blocks: reads small kernel files on Linux. Throws: never.
[[nodiscard]] unsigned usable_cores() noexcept;

// What the quota alone allows, rounded up; 0: there is none. `root`: before /proc and /sys, for
// tests with a tree of their own. Throws: std::exception for numbers that are none.
[[nodiscard]] unsigned cores_of_quota(const std::string& root);

}  // namespace inferkit
