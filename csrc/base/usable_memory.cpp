#include "base/usable_memory.h"

#include <unistd.h>

#include <algorithm>
#include <exception>
#include <fstream>

#include "base/cgroup.h"

namespace inferkit {
namespace {

std::uint64_t bytes_in(const std::string& file) {
  std::ifstream stream(file);
  std::string bytes;
  if (!(stream >> bytes) || bytes == "max") return 0;
  return std::stoull(bytes);
}

std::uint64_t limit_of_v2(const std::string& folder) { return bytes_in(folder + "/memory.max"); }

// Without a limit it says the largest number of pages there is.
std::uint64_t limit_of_v1(const std::string& folder) {
  return bytes_in(folder + "/memory.limit_in_bytes");
}

std::uint64_t of_the_machine() noexcept {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return 0;
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
}

}  // namespace

std::uint64_t memory_limit_bytes(const std::string& root) {
  return tightest_limit(root, "memory", limit_of_v2, limit_of_v1);
}

std::uint64_t usable_memory_bytes() noexcept {
  std::uint64_t limit = 0;
  try {
    limit = memory_limit_bytes("");
  } catch (const std::exception&) {
    limit = 0;  // an unreadable limit is no limit
  }
  const std::uint64_t all = of_the_machine();
  return limit == 0 ? all : std::min(limit, all);
}

}  // namespace inferkit
