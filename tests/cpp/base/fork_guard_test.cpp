#include "base/fork_guard.h"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

using inferkit::ForkDetection;
using inferkit::ForkGuard;

namespace {

// What `ask` answers in a real child, as its exit code.
template <class Ask>
int in_child_of(pid_t (*make)(), Ask ask) {
  const pid_t child = make();
  REQUIRE(child >= 0);
  if (child == 0) _exit(ask());
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

template <class Ask>
int in_forked_child(Ask ask) {
  return in_child_of(fork, ask);
}

constexpr ForkDetection kWays[] = {ForkDetection::wiped_page, ForkDetection::atfork_handler};

TEST_CASE("fork_guard: a child knows, its parent is not disturbed") {
  for (const ForkDetection how : kWays) {
    const ForkGuard guard(how);
    CHECK_FALSE(guard.in_child());
    CHECK(in_forked_child([&] { return guard.in_child() ? 42 : 1; }) == 42);
    CHECK_FALSE(guard.in_child());
  }
}

TEST_CASE("fork_guard: a child's own guard holds there, the inherited one stays broken") {
  for (const ForkDetection how : kWays) {
    const ForkGuard inherited(how);
    CHECK(in_forked_child([&] {
            const ForkGuard own(how);
            return !own.in_child() && inherited.in_child() ? 42 : 1;
          }) == 42);
    CHECK_FALSE(inherited.in_child());
  }
}

TEST_CASE("fork_guard: a grandchild is a child of both") {
  for (const ForkDetection how : kWays) {
    const ForkGuard grand(how);
    CHECK(in_forked_child([&] {
            const ForkGuard own(how);
            return in_forked_child([&] {
              const ForkGuard newest(how);
              return grand.in_child() && own.in_child() && !newest.in_child() ? 42 : 1;
            });
          }) == 42);
  }
}

#if defined(__linux__) && defined(MADV_WIPEONFORK)
// No handler hears of it.
pid_t bare_clone() { return static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }

// Whether the system does what it was asked to, which qemu's user mode does not.
bool wipes_pages() {
  const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* const data =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(data != MAP_FAILED);
  auto* const byte = static_cast<volatile unsigned char*>(data);
  *byte = 7;
  const bool advised = madvise(data, bytes, MADV_WIPEONFORK) == 0;
  const int seen = in_child_of(bare_clone, [&] { return static_cast<int>(*byte); });
  munmap(data, bytes);
  return advised && seen == 0;
}

TEST_CASE("fork_guard: a bare clone is seen by the page, without a handler") {
  if (!wipes_pages()) {
    std::puts("fork_guard: a bare clone is not checked: this system wipes no page");
    return;
  }
  const ForkGuard guard(ForkDetection::wiped_page);
  CHECK(in_child_of(bare_clone, [&] { return guard.in_child() ? 42 : 1; }) == 42);
  CHECK_FALSE(guard.in_child());
}
#endif

TEST_CASE("fork_guard: guards of one process agree") {
  const ForkGuard first;
  const ForkGuard second;
  const ForkGuard third = first;
  CHECK_FALSE(first.in_child());
  CHECK_FALSE(second.in_child());
  CHECK_FALSE(third.in_child());
}

}  // namespace
