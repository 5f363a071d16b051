// Ordinary memory of the host.
#pragma once

#include <cstddef>
#include <cstdint>

#include "memory/resource.h"

namespace inferkit {

// Of x86-64, and of aarch64 with pages of 4 KiB.
inline constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

// What a mapping of some bytes and a huge page is cut into, so that what is kept begins where a
// huge page can. Between pages of the system, which on aarch64 may hold 64 KiB.
struct HugeCut {
  std::size_t before;
  std::size_t kept;
  std::size_t behind;
};
[[nodiscard]] constexpr HugeCut cut_to_huge(std::uintptr_t address, std::size_t bytes,
                                            std::size_t page) noexcept {
  const std::size_t before = -address % kHugePageBytes;
  return {before, (bytes + page - 1) / page * page, kHugePageBytes - before};
}

// Anonymous mappings; those of 2 MiB and more ask for huge pages. Lives for ever.
[[nodiscard]] MemoryResource& host_resource() noexcept;

}  // namespace inferkit
