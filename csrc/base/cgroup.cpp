#include "base/cgroup.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace inferkit {
namespace {

// 0 is no limit.
std::uint64_t tighter(std::uint64_t a, std::uint64_t b) noexcept {
  return a == 0 || b == 0 ? std::max(a, b) : std::min(a, b);
}

std::uint64_t from_group_to_root(const std::string& mounted, std::string group, LimitOf limit_of) {
  std::uint64_t least = 0;
  for (;;) {
    least = tighter(least, limit_of(mounted + group));
    const std::size_t slash = group.rfind('/');
    if (slash == std::string::npos || group.size() <= 1) return least;
    group.resize(slash);
  }
}

bool names(const std::string& controllers, std::string_view wanted) {
  const std::string whole = "," + controllers + ",";
  return whole.find("," + std::string(wanted) + ",") != std::string::npos;
}

}  // namespace

// Lines of /proc/self/cgroup are "id:controllers:/path"; version 2 leaves the controllers empty.
std::uint64_t tightest_limit(const std::string& root, std::string_view controller, LimitOf v2,
                             LimitOf v1) {
  const std::string mounted = root + "/sys/fs/cgroup";
  std::ifstream groups(root + "/proc/self/cgroup");
  std::string line;
  std::uint64_t least = 0;
  while (std::getline(groups, line)) {
    std::istringstream parts(line);
    std::string id, controllers, group;
    std::getline(parts, id, ':');
    std::getline(parts, controllers, ':');
    std::getline(parts, group);
    if (controllers.empty()) least = tighter(least, from_group_to_root(mounted, group, v2));
    if (names(controllers, controller)) {
      least = tighter(least, from_group_to_root(mounted + "/" + controllers, group, v1));
    }
  }
  return least;
}

}  // namespace inferkit
