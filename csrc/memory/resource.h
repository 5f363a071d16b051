// Where the pool's bytes come from.
#pragma once

#include <cstddef>

namespace inferkit {

inline constexpr std::size_t kPageBytes = 4096;

[[nodiscard]] constexpr std::size_t round_to_pages(std::size_t bytes) noexcept {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

// Hands out whole pages and takes them back; keeps no cache, that is the pool's work.
// Threads: any. Blocks: as long as the system does. Throws: never.
// Lives longer than every block that was made from it.
class MemoryResource {
 public:
  virtual ~MemoryResource() = default;

  // `bytes` is a multiple of kPageBytes and not zero. The result is aligned to kPageBytes;
  // nullptr when there is no memory.
  [[nodiscard]] virtual std::byte* allocate(std::size_t bytes) noexcept = 0;

  // `data` and `bytes` as they were given out.
  virtual void deallocate(std::byte* data, std::size_t bytes) noexcept = 0;
};

}  // namespace inferkit
