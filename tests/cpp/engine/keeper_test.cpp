#include "engine/keeper.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "support/patience.h"
#include "testing/fake_clock.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

// The keeper's thread, counting how often it would ring.
struct Watch {
  FakeClock clock;
  Keeper<StdAtom> keeper;
  std::atomic<std::uint32_t> rings{0};
  std::thread thread{[this] {
    TimeNs due = kNever;
    while (keeper.next(due, clock)) step(rings);
  }};

  void arm(TimeNs at) {
    if (keeper.arm(at)) keeper.wake();
  }
  ~Watch() {
    keeper.stop();
    thread.join();
  }
};

TEST_CASE("keeper: an alarm that is due rings once") {
  FakeClock clock;
  Keeper<StdAtom> keeper;
  CHECK_FALSE(keeper.arm(clock.now()));  // nobody sleeps
  TimeNs due = kNever;
  CHECK(keeper.next(due, clock));
  CHECK(due == kNever);  // or it would ring for ever
}

TEST_CASE("keeper: the alarm armed last is the one that counts") {
  FakeClock clock;
  Keeper<StdAtom> keeper;
  static_cast<void>(keeper.arm(clock.now() + kSecond));
  static_cast<void>(keeper.arm(clock.now() + 5));
  clock.advance(5);
  TimeNs due = kNever;
  CHECK(keeper.next(due, clock));
}

TEST_CASE("keeper: a sleeping one is woken by an alarm, and by the next after that") {
  Watch watch;
  for (std::uint32_t i = 1; i <= 100; ++i) {
    watch.arm(watch.clock.now() + 10);
    watch.clock.advance(10);
    REQUIRE(reaches(watch.rings, i));
  }
}

TEST_CASE("keeper: nothing rings before its time") {
  Watch watch;
  watch.arm(watch.clock.now() + 1'000);
  watch.clock.advance(999);
  // A second alarm, due at once, shows that it is up and has read the clock.
  CHECK(watch.rings == 0);
  watch.arm(watch.clock.now());
  REQUIRE(reaches(watch.rings, 1));
  CHECK(watch.rings == 1);
}

TEST_CASE("keeper: stops, asleep or not, whatever is armed") {
  {
    Watch watch;
  }
  FakeClock clock;
  Keeper<StdAtom> keeper;
  static_cast<void>(keeper.arm(clock.now()));
  keeper.stop();
  TimeNs due = kNever;
  CHECK_FALSE(keeper.next(due, clock));
}

}  // namespace
