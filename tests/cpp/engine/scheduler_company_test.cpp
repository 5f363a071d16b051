// When a run may use every core: while callers stay alone.
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
