// How often this thread asked the heap: the whole test binary's operator new counts.
#pragma once

#include <cstdint>

namespace inferkit::testing {

// Calls of operator new on the calling thread so far.
[[nodiscard]] std::uint64_t heap_allocations() noexcept;

}  // namespace inferkit::testing
