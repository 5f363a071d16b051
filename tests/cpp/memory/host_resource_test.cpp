#include "memory/host_resource.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>

#if defined(__linux__)
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

#if defined(__linux__)
// The flags of the mapping that `data` begins, as the kernel tells them; empty when there is none.
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

TEST_CASE("host memory: large mappings ask for huge pages, small ones do not") {
  std::byte* const large = host_resource().allocate(2 * kHuge);
  std::byte* const small = host_resource().allocate(kPageBytes);
  if (flags_of(large).empty()) {
    std::puts("the advice is not checked: this kernel tells no flags of mappings");
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
