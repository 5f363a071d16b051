// How many cores this process may really use.
#pragma once

namespace inferkit {

// The smaller of the affinity mask and the cgroup's CPU quota (rounded up), at least 1. Read anew
// each time: both can change while the process lives.
// Threads: any. Blocks: reads small kernel files on Linux. Throws: never.
[[nodiscard]] unsigned usable_cores() noexcept;

}  // namespace inferkit
