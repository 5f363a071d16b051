#include "base/usable_cores.h"

#include <doctest/doctest.h>

#include "base/machine.h"

using inferkit::cores_of_quota;
using inferkit::usable_cores;
using inferkit::testing::Machine;

namespace {

unsigned cores(const Machine& machine) { return cores_of_quota(machine.root()); }

TEST_CASE("usable_cores: some, and no more than there are by affinity") {
  CHECK(usable_cores() >= 1);
  CHECK(cores_of_quota("/nowhere") == 0);
}

TEST_CASE("usable_cores: a quota of version 2, rounded up, the tightest from here to the root") {
  const Machine machine("0::/kubepods/pod1/container\n");
  CHECK(cores(machine) == 0);
  const std::string group = "/sys/fs/cgroup/kubepods";
  machine.put(group + "/cpu.max", "max 100000\n");
  CHECK(cores(machine) == 0);
  machine.put(group + "/pod1/container/cpu.max", "350000 100000\n");
  CHECK(cores(machine) == 4);
  machine.put(group + "/pod1/cpu.max", "150000 100000\n");
  CHECK(cores(machine) == 2);
  machine.put("/sys/fs/cgroup/cpu.max", "20000 100000\n");  // as a container sees its own
  CHECK(cores(machine) == 1);
}

TEST_CASE("usable_cores: a quota of version 1, beside other controllers") {
  const Machine machine("12:memory:/a\n4:cpu,cpuacct:/a/b\n1:name=systemd:/x\n0::/y\n");
  const std::string group = "/sys/fs/cgroup/cpu,cpuacct/a";
  machine.put(group + "/cpu.cfs_quota_us", "-1\n");
  machine.put(group + "/cpu.cfs_period_us", "100000\n");
  CHECK(cores(machine) == 0);
  machine.put(group + "/b/cpu.cfs_quota_us", "250000\n");
  machine.put(group + "/b/cpu.cfs_period_us", "50000\n");
  CHECK(cores(machine) == 5);
  machine.put("/sys/fs/cgroup/memory/a/cpu.cfs_quota_us", "1\n");  // none of cpu's business
  machine.put("/sys/fs/cgroup/memory/a/cpu.cfs_period_us", "1\n");
  CHECK(cores(machine) == 5);
}

TEST_CASE("usable_cores: limits that cannot be read are none") {
  const Machine machine("nonsense\n::\n0::/g\n");
  for (const char* contents : {"", "200000", "max", "0 0\n", "-5 100000\n"}) {
    machine.put("/sys/fs/cgroup/g/cpu.max", contents);
    CHECK(cores(machine) == 0);
  }
}

}  // namespace
