#include "memory/host_resource.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>

#if defined(__linux__)
#include <sys/mman.h>

#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <string>
#endif

namespace inferkit {
namespace {

constexpr std::size_t kHuge = std::size_t{2} << 20;

TEST_CASE("host memory: from 2 MiB on it begins where a huge page can") {
  for (const std::size_t bytes : {kPageBytes, kHuge - kPageBytes, kHuge, 3 * kHuge + kPageBytes}) {
    CAPTURE(bytes);
    std::byte* const data = host_resource().allocate(bytes);
    REQUIRE(data != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(data) % (bytes < kHuge ? kPageBytes : kHuge) == 0);
    std::memset(data, 1, bytes);
    host_resource().deallocate(data, bytes);
  }
}

// munmap() refuses what does not begin at a page, so that a wrong cut would stay mapped for ever.
TEST_CASE("host memory: whatever a page of the system holds, the cuts fall between two") {
  for (const std::size_t page :
       {std::size_t{4} << 10, std::size_t{16} << 10, std::size_t{64} << 10}) {
    for (std::size_t at = 0; at < kHuge; at += 5 * page) {
      for (std::size_t more = 0; more < 4 * page; more += kPageBytes) {
        const HugeCut cut = cut_to_huge(kHuge + at, kHuge + more, page);
        CAPTURE(page);
        REQUIRE((at + cut.before) % kHuge == 0);
        REQUIRE(cut.before % page == 0);
        REQUIRE(cut.kept % page == 0);
        REQUIRE(cut.kept >= kHuge + more);
        REQUIRE(cut.kept < kHuge + more + page);
        REQUIRE(cut.behind != 0);  // nor nothing
        REQUIRE(cut.before + cut.behind == kHuge);
      }
    }
  }
}

#if defined(__linux__)
// The flags of the mapping that `data` lies in, as the kernel tells them; empty when it does not.
std::string flags_of(const std::byte* data) {
  std::ifstream maps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<std::uintptr_t>(data);
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR, &begin, &end) == 2) {
      here = begin <= wanted && wanted < end;
    } else if (here && line.starts_with("VmFlags:")) {
      return line;
    }
  }
  return {};
}

// Whether advice of our own shows: qemu's user mode takes it and does nothing.
bool tells_advice() {
  void* const data =
      mmap(nullptr, kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(data != MAP_FAILED);
  madvise(data, kHuge, MADV_HUGEPAGE);
  const std::string flags = flags_of(static_cast<const std::byte*>(data));
  munmap(data, kHuge);
  return flags.find(" hg") != std::string::npos;
}

TEST_CASE("host memory: large mappings ask for huge pages, small ones do not") {
  std::byte* const large = host_resource().allocate(2 * kHuge);
  std::byte* const small = host_resource().allocate(kPageBytes);
  if (!tells_advice()) {
    std::puts("host memory: the advice is not checked: this system does not tell of it");
  } else {
    CHECK(flags_of(large).find(" hg") != std::string::npos);
    CHECK(flags_of(small).find(" hg") == std::string::npos);
  }
  host_resource().deallocate(large, 2 * kHuge);
  host_resource().deallocate(small, kPageBytes);
}
#endif

}  // namespace
}  // namespace inferkit
