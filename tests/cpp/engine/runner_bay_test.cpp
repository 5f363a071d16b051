#include "engine/runner_bay.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "support/patience.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using Bay = RunnerBay<StdAtom>;

TEST_CASE("runner_bay: each assigned lease is taken once") {
  Bay bay(32);
  CHECK(bay.take_assigned() == -1);
  for (const std::uint32_t lease : {7U, 31U, 0U}) bay.assign(lease);
  CHECK(bay.take_assigned() == 0);
  CHECK(bay.take_assigned() == 7);
  CHECK(bay.take_assigned() == 31);
  CHECK(bay.take_assigned() == -1);
}

TEST_CASE("runner_bay: a call between looking and parking is not slept through") {
  Bay bay(2);
  for (const std::uint32_t me : {0U, 1U}) {
    bay.consume(me);
    CHECK_FALSE(bay.notify(false));  // nobody slept; all are told
    bay.park(me);                    // returns at once, or this test does not end
  }
}

// A runner that parks, and when called looks only once the gate was opened after that. The gate
// counts its openings: nobody who waits can miss one, however late it gets its core.
struct Sleeper {
  Bay& bay;
  std::uint32_t me;
  std::atomic<std::uint32_t>& gate;
  std::atomic<bool> over{false};
  std::thread thread{[this] {
    while (!over) {
      bay.park(me);
      const std::uint32_t seen = gate;
      while (gate == seen && !over) parker::wait(gate, seen, kNever);
      bay.consume(me);
    }
  }};

  Sleeper(Bay& where, std::uint32_t number, std::atomic<std::uint32_t>& g)
      : bay(where), me(number), gate(g) {}
  ~Sleeper() {
    over = true;
    open(gate);
    bay.notify_all();
    thread.join();
  }
  static void open(std::atomic<std::uint32_t>& gate) {
    ++gate;
    parker::wake(gate, 1 << 20);
  }
};

TEST_CASE("runner_bay: one that was called and has not looked yet is enough") {
  Bay bay(2);
  std::atomic<std::uint32_t> gate{0};
  Sleeper first(bay, 0, gate);
  Sleeper second(bay, 1, gate);
  while (!bay.notify(true)) {  // until one was asleep
    Sleeper::open(gate);
    std::this_thread::yield();
  }
  CHECK_FALSE(bay.notify(true));
  CHECK_FALSE(bay.notify(true));
}

TEST_CASE("runner_bay: work of their own calls one sleeper each") {
  Bay bay(2);
  std::atomic<std::uint32_t> gate{0};
  Sleeper first(bay, 0, gate);
  Sleeper second(bay, 1, gate);
  // Both asleep at the same moment comes sooner or later.
  while (!(bay.notify(false) && bay.notify(false))) {
    Sleeper::open(gate);
    std::this_thread::yield();
  }
  CHECK_FALSE(bay.notify(false));  // and then nobody is left to wake
}

TEST_CASE("runner_bay: however calls and naps interleave, nothing assigned is left lying") {
  constexpr std::uint32_t kRunners = 3;
  constexpr std::uint32_t kLeases = 20'000;
  Bay bay(kRunners);
  std::atomic<std::uint32_t> taken{0};
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (std::uint32_t me = 0; me < kRunners; ++me) {
    threads.emplace_back([&, me] {
      while (!over) {
        bay.consume(me);
        while (bay.take_assigned() != -1) step(taken);
        bay.park(me);
      }
    });
  }
  for (std::uint32_t i = 0; i < kLeases; ++i) {
    bay.assign(i % 4);
    static_cast<void>(bay.notify(i % 2 == 0));
    // The same lease is free again only when it was taken.
    if (i % 4 == 3) REQUIRE(reaches(taken, i + 1));
  }
  over = true;
  bay.notify_all();
  for (std::thread& thread : threads) thread.join();
  CHECK(taken == kLeases);
}

}  // namespace
