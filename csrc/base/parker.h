// The only place where a thread of the core sleeps.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace inferkit::parker {

// Sleeps while `word` holds `expected`, until woken, until `until` (CLOCK_MONOTONIC; kNever: no
// limit), or for no reason at all: callers loop and read the word again. A signal ends the sleep.
// Threads: any. Blocks: yes. Throws: never.
void wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected, TimeNs until) noexcept;

// Wakes up to `count` sleepers of `word`. The word may belong to a recycled record: a late wake
// is harmless, the memory is never unmapped.
void wake(const std::atomic<std::uint32_t>& word, int count) noexcept;

// Others who wait for this core go first, who was just woken among them; without one, at once.
void let_others_go_first() noexcept;

}  // namespace inferkit::parker
