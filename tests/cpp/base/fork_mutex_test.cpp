#include "base/fork_mutex.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using namespace inferkit;

namespace {

// Exits with 0 when each can be taken, and hangs otherwise; the child makes and drops some too.
int child_takes(const std::vector<std::unique_ptr<ForkMutex>>& mutexes) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    for (const auto& mutex : mutexes) {
      mutex->lock();
      mutex->unlock();
    }
    const ForkMutex another;
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

TEST_CASE("fork_mutex: a child finds each free, though others hold them all the time") {
  std::vector<std::unique_ptr<ForkMutex>> mutexes;
  for (int i = 0; i < 3; ++i) mutexes.push_back(std::make_unique<ForkMutex>());
  std::atomic<bool> over{false};
  std::vector<std::thread> holders;
  for (const auto& mutex : mutexes) {
    holders.emplace_back([&over, &mutex] {
      while (!over) {
        mutex->lock();
        mutex->unlock();
      }
    });
  }
  // Others come and go meanwhile.
  holders.emplace_back([&over] {
    while (!over) {
      const ForkMutex first;
      const ForkMutex second;
    }
  });
  for (int i = 0; i < 100; ++i) REQUIRE(child_takes(mutexes) == 0);
  over = true;
  for (std::thread& holder : holders) holder.join();
}

}  // namespace
