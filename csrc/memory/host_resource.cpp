#include "memory/host_resource.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "base/forever.h"

namespace inferkit {
namespace {

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
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    std::byte* const wide = map(bytes + kHugePageBytes);
    if (wide == nullptr) return map(bytes);  // the address space may be limited
    const HugeCut cut = cut_to_huge(reinterpret_cast<std::uintptr_t>(wide), bytes, page);
    if (cut.before != 0) munmap(wide, cut.before);
    std::byte* const data = wide + cut.before;
    munmap(data + cut.kept, cut.behind);
    madvise(data, bytes, MADV_HUGEPAGE);
    return data;
  }
#endif
};

// Results handed out to the user may outlive static destruction.
constinit Forever<HostResource> the_resource;

}  // namespace

MemoryResource& host_resource() noexcept { return the_resource.value; }

}  // namespace inferkit
