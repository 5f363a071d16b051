// When a run may use every core: while callers stay alone. When a taker lets others go first.
#include <doctest/doctest.h>

#include "engine/scheduler.h"
#include "support/desk.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

// One request comes, runs and is answered; whether its run was alone.
bool one_run(Desk& desk) {
  const int lease = desk.ring_as_caller(desk.queue());
  REQUIRE(lease != kNoLease);
  const bool alone = desk.scheduler.batch(lease).alone;
  desk.answer(lease);
  return alone;
}

int runs_until_alone(Desk& desk) {
  int runs = 0;
  while (!one_run(desk)) {
    REQUIRE(++runs < 100);
  }
  return runs;
}

}  // namespace

TEST_CASE("scheduler: a caller by itself is alone from the first run on") {
  Desk desk({.instances = 2});
  for (int i = 0; i < 20; ++i) CHECK(one_run(desk));
}

TEST_CASE("scheduler: requests that share a batch are company, and are for a while") {
  Desk desk({.instances = 2});
  static_cast<void>(desk.queue());
  const int lease = desk.ring_as_caller(desk.queue());
  REQUIRE(lease != kNoLease);
  REQUIRE(desk.members(lease).size() == 2);
  CHECK_FALSE(desk.scheduler.batch(lease).alone);
  desk.answer(lease);
  CHECK(runs_until_alone(desk) > 4);
  CHECK(one_run(desk));
}

TEST_CASE("scheduler: a batch beside another one is company, and is for a while") {
  Desk desk({.instances = 2});
  const int first = desk.ring_as_caller(desk.queue());
  CHECK(desk.scheduler.batch(first).alone);  // nobody knew
  const int second = desk.ring_as_caller(desk.queue());
  CHECK_FALSE(desk.scheduler.batch(second).alone);
  desk.answer(first);
  desk.answer(second);
  CHECK(runs_until_alone(desk) > 4);
}

TEST_CASE("scheduler: more in flight than instances are a crowd, and are for a while") {
  Desk desk({.instances = 2});
  desk.measured(50 * kMicrosecond);
  const int first = desk.ring_as_caller(desk.queue());
  const int second = desk.ring_as_caller(desk.queue());
  CHECK_FALSE(desk.scheduler.crowded());
  desk.answer(first);
  Record* third = desk.queue();
  Record* fourth = desk.queue();
  const int both = desk.ring_as_caller(third);
  REQUIRE(desk.members(both) == std::vector<Record*>{third, fourth});
  CHECK(desk.scheduler.crowded());
  desk.answer(second);
  desk.answer(both);
  int runs = 0;
  for (; desk.scheduler.crowded(); ++runs) {
    REQUIRE(runs < 1000);
    static_cast<void>(one_run(desk));
  }
  CHECK(runs > 50);  // who waits for a core is not in flight until it gets one
}

TEST_CASE("scheduler: nobody lets others go first for a run that takes no longer") {
  for (const DurationNs took : {DurationNs{0}, 5 * kMicrosecond, 20 * kMicrosecond}) {
    Desk desk({.instances = 1});
    if (took != 0) desk.measured(took);
    static_cast<void>(desk.queue());
    REQUIRE(desk.ring_as_caller(desk.queue()) != kNoLease);
    CHECK_FALSE(desk.scheduler.crowded());
  }
}

TEST_CASE("scheduler: a batch tells whether threads wait for its answers") {
  Desk desk({.instances = 1});
  CountingSink sink;
  static_cast<void>(desk.queue({.sink = &sink}));
  const int told = desk.ring_as_runner();
  CHECK_FALSE(desk.scheduler.batch(told).has_callers);
  desk.answer(told);
  static_cast<void>(desk.queue({.sink = &sink}));
  static_cast<void>(desk.queue());
  const int waited_for = desk.ring_as_runner();
  REQUIRE(desk.members(waited_for).size() == 2);
  CHECK(desk.scheduler.batch(waited_for).has_callers);
  desk.answer(waited_for);
  static_cast<void>(desk.queue({.sink = &sink}));
  CHECK_FALSE(desk.scheduler.batch(desk.ring_as_runner()).has_callers);
}
