#include "base/fork_guard.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

using inferkit::ForkDetection;
using inferkit::ForkGuard;

namespace {

// What `ask` answers in a real child, as its exit code.
template <class Ask>
int in_forked_child(Ask ask) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(ask());
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
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

TEST_CASE("fork_guard: guards of one process agree") {
  const ForkGuard first;
  const ForkGuard second;
  const ForkGuard third = first;
  CHECK_FALSE(first.in_child());
  CHECK_FALSE(second.in_child());
  CHECK_FALSE(third.in_child());
}

}  // namespace
