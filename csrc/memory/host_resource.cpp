#include "memory/host_resource.h"

#include <sys/mman.h>

#include <cstdint>

namespace inferkit {
namespace {

// Of x86-64, and of aarch64 with pages of 4 KiB.
constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

class HostResource final : public MemoryResource {
 public:
  [[nodiscard]] std::byte* allocate(std::size_t bytes) noexcept override {
#if defined(MADV_HUGEPAGE)
    if (bytes >= kHugePageBytes) return map_huge(bytes);
#endif
    return map(bytes);
  }

  void deallocate(std::byte* data, std::size_t bytes) noexcept override { munmap(data, bytes); }

 private:
  static std::byte* map(std::size_t bytes) noexcept {
    void* const data =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return data == MAP_FAILED ? nullptr : static_cast<std::byte*>(data);
  }

#if defined(MADV_HUGEPAGE)
  // Begins where a huge page can begin: the advice counts for whole ones only. Advice it is: a
  // first touch costs a seventh, and a model's run a few per cent less, where the system grants it.
  static std::byte* map_huge(std::size_t bytes) noexcept {
    std::byte* const wide = map(bytes + kHugePageBytes);
    if (wide == nullptr) return map(bytes);  // the address space may be limited
    const std::size_t skip = -reinterpret_cast<std::uintptr_t>(wide) % kHugePageBytes;
    if (skip != 0) munmap(wide, skip);
    std::byte* const data = wide + skip;
    munmap(data + bytes, kHugePageBytes - skip);
    madvise(data, bytes, MADV_HUGEPAGE);
    return data;
  }
#endif
};

}  // namespace

MemoryResource& host_resource() noexcept {
  // Leaked: results handed out to the user may outlive static destruction.
  static HostResource* const resource = new HostResource;
  return *resource;
}

}  // namespace inferkit
