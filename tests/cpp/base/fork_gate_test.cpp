#include "base/fork_gate.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/error.h"
#include "support/thrown.h"

using namespace inferkit;
using inferkit::testing::thrown;

namespace {

// What a child of this process ends with, which does `work` and is ended after 20 s.
template <class Work>
int in_child(Work work) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    work();
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

TEST_CASE("fork_gate: a child finds free what is locked inside only") {
  std::mutex hidden;
  std::atomic<bool> over{false};
  std::vector<std::thread> loaders;
  for (int i = 0; i < 3; ++i) {
    loaders.emplace_back([&] {
      while (!over) {
        const Unforked whole;
        const std::lock_guard lock(hidden);
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    REQUIRE(in_child([&] {
              const Unforked whole;
              const std::lock_guard lock(hidden);
            }) == 0);
  }
  over = true;
  for (std::thread& loader : loaders) loader.join();
}

TEST_CASE("fork_gate: who comes while a process forks waits until it has") {
  std::atomic<bool> entered{false};
  close_fork_gate(0);
  std::thread loader([&] {
    const Unforked whole;
    entered = true;
  });
  for (int i = 0; i < 100; ++i) std::this_thread::yield();
  CHECK_FALSE(entered);
  open_fork_gate();
  loader.join();
  CHECK(entered);
}

TEST_CASE("fork_gate: loads that overlap without an end keep nobody from forking") {
  std::atomic<bool> over{false};
  std::atomic<int> entered{0};
  const auto load = [&](int before) {
    const Unforked whole;
    ++entered;
    // Until the next one is inside as well, or seems to be held back.
    const TimeNs until = steady_clock().now() + 5 * kMillisecond;
    while (!over && entered < before + 2 && steady_clock().now() < until) std::this_thread::yield();
  };
  std::vector<std::thread> loaders;
  for (int i = 0; i < 2; ++i) {
    loaders.emplace_back([&] {
      while (!over) load(entered);
    });
  }
  while (entered < 4) std::this_thread::yield();
  const TimeNs begun = steady_clock().now();
  for (int i = 0; i < 20; ++i) {
    static_cast<void>(await_unforked(kForkWait));
    close_fork_gate(kForkWait);
    open_fork_gate();
  }
  CHECK(steady_clock().now() < begun + kForkWait);
  over = true;
  for (std::thread& loader : loaders) loader.join();
}

TEST_CASE("fork_gate: between the wait and the fork only the thread that forks may load") {
  CHECK_FALSE(await_unforked(kForkWait));
  CHECK_FALSE(await_unforked(kForkWait));  // once more, and no other
  std::atomic<bool> entered{false};
  std::thread loader([&] {
    const Unforked whole;
    entered = true;
  });
  {
    const Unforked own;
  }
  for (int i = 0; i < 100; ++i) std::this_thread::yield();
  CHECK_FALSE(entered);
  close_fork_gate(kForkWait);
  CHECK_FALSE(entered);
  open_fork_gate();
  loader.join();
  CHECK(entered);
}

TEST_CASE("fork_gate: a fork that is not made after all lets loads in again") {
  const auto enters_at_once = [] {
    const TimeNs begun = steady_clock().now();
    std::thread loader([] { const Unforked whole; });
    loader.join();
    return steady_clock().now() < begun + kForkWait;
  };
  CHECK_FALSE(await_unforked(kForkWait));
  give_fork_up();
  give_fork_up();  // nothing to give up
  CHECK(enters_at_once());
  std::optional<Unforked> loading;
  loading.emplace();
  const TimeNs begun = steady_clock().now();
  close_fork_gate(10 * kMillisecond);  // of the next fork all is as it was
  CHECK(steady_clock().now() >= begun + 10 * kMillisecond);
  open_fork_gate();
  loading.reset();
  give_fork_up();  // it was made
  CHECK(enters_at_once());
}

TEST_CASE("fork_gate: a fork waits for what its thread has not waited yet") {
  std::optional<Unforked> loading;
  loading.emplace();
  const TimeNs begun = steady_clock().now();
  CHECK(await_unforked(10 * kMillisecond));
  CHECK(steady_clock().now() >= begun + 10 * kMillisecond);
  close_fork_gate(kForkWait);
  open_fork_gate();
  CHECK(steady_clock().now() < begun + kForkWait);
  close_fork_gate(kMillisecond);  // another fork, of which nobody knew
  CHECK(steady_clock().now() >= begun + 11 * kMillisecond);
  open_fork_gate();
  loading.reset();
  CHECK_FALSE(await_unforked(kForkWait));
  close_fork_gate(kForkWait);
  CHECK(steady_clock().now() < begun + kForkWait);
  open_fork_gate();
}

TEST_CASE(
    "fork_gate: a child of a load that was too long to wait for is told so, and its children") {
  const auto refused = [] {
    const auto error = thrown([] { const Unforked whole; });
    return error && error->code() == ErrorCode::model_load;
  };
  const int status = in_child([&] {
    std::optional<Unforked> loading;
    loading.emplace();
    close_fork_gate(kMillisecond);  // as where this process forked
    open_fork_gate_in_child();
    if (!refused()) _exit(1);
    if (in_child([&] { _exit(refused() ? 0 : 1); }) != 0) _exit(2);
    _exit(0);
  });
  CHECK(status == 0);
  CHECK_FALSE(refused());
}

}  // namespace
