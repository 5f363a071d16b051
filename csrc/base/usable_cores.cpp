#include "base/usable_cores.h"

#include <algorithm>
#include <exception>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace inferkit {

#if defined(__linux__)
namespace {

unsigned cores_of_affinity() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  // Fails where the machine has more than 1024 CPUs; the plain count is then good enough.
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return std::thread::hardware_concurrency();
  return static_cast<unsigned>(CPU_COUNT(&set));
}

// 0 where there is no limit.
unsigned whole_cores(double quota_us, double period_us) noexcept {
  if (quota_us <= 0 || period_us <= 0) return 0;
  return std::max(1U, static_cast<unsigned>((quota_us + period_us - 1) / period_us));
}

unsigned quota_of_v2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period_us = 0;
  if (!(file >> quota >> period_us) || quota == "max") return 0;
  return whole_cores(std::stod(quota), period_us);
}

unsigned quota_of_v1(const std::string& folder) {
  double quota_us = 0;
  double period_us = 0;
  std::ifstream quota(folder + "/cpu.cfs_quota_us");
  std::ifstream period(folder + "/cpu.cfs_period_us");
  if (!(quota >> quota_us) || !(period >> period_us)) return 0;
  return whole_cores(quota_us, period_us);
}

// The tightest limit from the group up to the root: a parent's quota binds its children too.
unsigned tightest(std::string root, std::string group, unsigned (*quota_of)(const std::string&)) {
  unsigned least = 0;
  for (;;) {
    const unsigned limit = quota_of(root + group);
    if (limit != 0 && (least == 0 || limit < least)) least = limit;
    const std::size_t slash = group.rfind('/');
    if (slash == std::string::npos || group.size() <= 1) break;
    group.resize(slash);
  }
  return least;
}

}  // namespace

// Lines of /proc/self/cgroup are "id:controllers:/path"; version 2 leaves the controllers empty.
unsigned cores_of_quota(const std::string& root) {
  const std::string mounted = root + "/sys/fs/cgroup";
  std::ifstream groups(root + "/proc/self/cgroup");
  std::string line;
  unsigned least = 0;
  while (std::getline(groups, line)) {
    std::istringstream parts(line);
    std::string id, controllers, group;
    std::getline(parts, id, ':');
    std::getline(parts, controllers, ':');
    std::getline(parts, group);
    unsigned limit = 0;
    if (controllers.empty()) limit = tightest(mounted, group, quota_of_v2);
    if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      limit = tightest(mounted + "/" + controllers, group, quota_of_v1);
    }
    if (limit != 0 && (least == 0 || limit < least)) least = limit;
  }
  return least;
}

unsigned usable_cores() noexcept {
  unsigned quota = 0;
  try {
    quota = cores_of_quota("");
  } catch (const std::exception&) {
    quota = 0;  // an unreadable limit is no limit
  }
  const unsigned affinity = std::max(1U, cores_of_affinity());
  return quota == 0 ? affinity : std::min(affinity, quota);
}

#else

unsigned cores_of_quota(const std::string&) { return 0; }

unsigned usable_cores() noexcept { return std::max(1U, std::thread::hardware_concurrency()); }

#endif

}  // namespace inferkit
