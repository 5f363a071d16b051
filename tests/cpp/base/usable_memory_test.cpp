#include "base/usable_memory.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <stdexcept>

#include "base/machine.h"

using inferkit::memory_limit_bytes;
using inferkit::usable_memory_bytes;
using inferkit::testing::Machine;

namespace {

constexpr std::uint64_t kGiB = 1ULL << 30;

TEST_CASE("usable_memory: some, and no more than the machine has") {
  const auto pages = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES));
  CHECK(usable_memory_bytes() > 0);
  CHECK(usable_memory_bytes() <= pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)));
  CHECK(memory_limit_bytes("/nowhere") == 0);
}

TEST_CASE("usable_memory: a limit of version 2, the tightest from here to the root") {
  const Machine machine("0::/kubepods/pod1/container\n");
  CHECK(memory_limit_bytes(machine.root()) == 0);
  const std::string group = "/sys/fs/cgroup/kubepods";
  machine.put(group + "/memory.max", "max\n");
  CHECK(memory_limit_bytes(machine.root()) == 0);
  machine.put(group + "/pod1/container/memory.max", "8589934592\n");
  CHECK(memory_limit_bytes(machine.root()) == 8 * kGiB);
  machine.put(group + "/pod1/memory.max", "2147483648\n");
  CHECK(memory_limit_bytes(machine.root()) == 2 * kGiB);
}

TEST_CASE("usable_memory: a limit of version 1, beside other controllers") {
  const Machine machine("4:cpu,cpuacct:/a\n12:memory:/a/b\n0::/y\n");
  machine.put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  machine.put("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "1073741824\n");
  machine.put("/sys/fs/cgroup/cpu,cpuacct/a/memory.limit_in_bytes", "4096\n");  // not its business
  CHECK(memory_limit_bytes(machine.root()) == kGiB);
}

TEST_CASE("usable_memory: what is no number is told") {
  const Machine machine("0::/g\n");
  machine.put("/sys/fs/cgroup/g/memory.max", "");
  CHECK(memory_limit_bytes(machine.root()) == 0);
  machine.put("/sys/fs/cgroup/g/memory.max", "plenty\n");
  CHECK_THROWS_AS(static_cast<void>(memory_limit_bytes(machine.root())), std::invalid_argument);
}

}  // namespace
