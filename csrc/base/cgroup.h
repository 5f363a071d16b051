// Limits that control groups set to this process.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace inferkit {

// What the files in a group's folder say; 0: no limit. Throws: std::exception for numbers that are
// none.
using LimitOf = std::uint64_t (*)(const std::string& folder);

// The tightest limit from this process's group up to the root, since a parent's binds its children
// too; 0: there is none. `v2` reads a folder of version 2, `v1` one of version 1 of `controller`.
// `root`: before /proc and /sys, for tests with a tree of their own.
// Threads: any. Blocks: reads small kernel files. Throws: what the readers do, std::bad_alloc.
[[nodiscard]] std::uint64_t tightest_limit(const std::string& root, std::string_view controller,
                                           LimitOf v2, LimitOf v1);

}  // namespace inferkit
