#include "memory/host_resource.h"

#include <sys/mman.h>

namespace inferkit {
namespace {

constexpr std::size_t kHugePageFrom = std::size_t{4} << 20;

class HostResource final : public MemoryResource {
 public:
  [[nodiscard]] std::byte* allocate(std::size_t bytes) noexcept override {
    void* const data =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) return nullptr;
#if defined(MADV_HUGEPAGE)
    // Advice only: a first touch costs a seventh where the system grants it.
    if (bytes >= kHugePageFrom) madvise(data, bytes, MADV_HUGEPAGE);
#endif
    return static_cast<std::byte*>(data);
  }

  void deallocate(std::byte* data, std::size_t bytes) noexcept override { munmap(data, bytes); }
};

}  // namespace

MemoryResource& host_resource() noexcept {
  // Leaked: results handed out to the user may outlive static destruction.
  static HostResource* const resource = new HostResource;
  return *resource;
}

}  // namespace inferkit
