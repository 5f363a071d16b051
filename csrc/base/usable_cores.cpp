#include "base/usable_cores.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <fstream>
#include <string>
#include <thread>

#include "base/cgroup.h"

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

std::uint64_t whole_cores(double quota_us, double period_us) noexcept {
  if (quota_us <= 0 || period_us <= 0) return 0;
  return std::max<std::uint64_t>(1, static_cast<unsigned>((quota_us + period_us - 1) / period_us));
}

std::uint64_t quota_of_v2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period_us = 0;
  if (!(file >> quota >> period_us) || quota == "max") return 0;
  return whole_cores(std::stod(quota), period_us);
}

std::uint64_t quota_of_v1(const std::string& folder) {
  double quota_us = 0;
  double period_us = 0;
  std::ifstream quota(folder + "/cpu.cfs_quota_us");
  std::ifstream period(folder + "/cpu.cfs_period_us");
  if (!(quota >> quota_us) || !(period >> period_us)) return 0;
  return whole_cores(quota_us, period_us);
}

}  // namespace

unsigned cores_of_quota(const std::string& root) {
  return static_cast<unsigned>(tightest_limit(root, "cpu", quota_of_v2, quota_of_v1));
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
