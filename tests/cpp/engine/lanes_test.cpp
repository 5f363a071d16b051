#include "engine/lanes.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <new>

#include "base/heap_count.h"
#include "support/records.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using TestLanes = Lanes<StdAtom>;

std::size_t count(TestLanes& lanes) {
  std::size_t lanes_seen = 0;
  lanes.for_each([&](const Lane<StdAtom>&) { ++lanes_seen; });
  return lanes_seen;
}

TEST_CASE("lanes: one for each set of dimensions") {
  Records records;
  TestLanes lanes(8);
  auto& five = lanes.of(*records.make({.dim = 5}));
  auto& six = lanes.of(*records.make({.dim = 6}));
  CHECK(&five != &six);
  CHECK(&lanes.of(*records.make({.rows = 9, .dim = 5})) == &five);
  CHECK(&lanes.of(*records.make({.dim = 6})) == &six);
  CHECK(count(lanes) == 2);
}

TEST_CASE("lanes: requests whose hashes collide do not meet") {
  Records records;
  TestLanes lanes(8);
  Record* five = records.make({.dim = 5});
  Record* six = records.make({.dim = 6});
  six->lane_hash = five->lane_hash;
  auto& first = lanes.of(*five);
  auto& second = lanes.of(*six);
  CHECK(&first != &second);
  CHECK(&lanes.of(*five) == &first);
  CHECK(&lanes.of(*six) == &second);
  CHECK(count(lanes) == 2);
}

TEST_CASE("lanes: over the limit the longest unused goes") {
  Records records;
  TestLanes lanes(3);
  for (const std::int64_t dim : {1, 2, 3}) {
    lanes.of(*records.make({.dim = dim})).latency.record(1, 100);
  }
  CHECK(lanes.of(*records.make({.dim = 1})).latency.measured());  // used again: 2 is the oldest
  CHECK_FALSE(lanes.of(*records.make({.dim = 4})).latency.measured());
  CHECK(count(lanes) == 3);
  CHECK(lanes.of(*records.make({.dim = 1})).latency.measured());
  CHECK(lanes.of(*records.make({.dim = 3})).latency.measured());
  CHECK_FALSE(lanes.of(*records.make({.dim = 2})).latency.measured());
}

TEST_CASE("lanes: one that holds requests or runs a batch stays") {
  Records records;
  TestLanes lanes(2);
  auto& full = lanes.of(*records.make({.dim = 1}));
  full.push(records.make({.dim = 1}), 0);
  auto& running = lanes.of(*records.make({.dim = 2}));
  running.running = 1;
  static_cast<void>(lanes.of(*records.make({.dim = 3})));
  CHECK(count(lanes) == 3);  // nothing to drop
  CHECK(&lanes.of(*records.make({.dim = 1})) == &full);
  CHECK(&lanes.of(*records.make({.dim = 2})) == &running);
  running.running = 0;
  static_cast<void>(
      lanes.of(*records.make({.dim = 4})));  // and the limit holds again as soon as it can
  CHECK(count(lanes) == 2);
  CHECK(&lanes.of(*records.make({.dim = 1})) == &full);
}

TEST_CASE("lanes: a dropped one that was the last used is not used again") {
  Records records;
  TestLanes lanes(1);
  Record* one = records.make({.dim = 1});
  lanes.of(*one).latency.record(1, 100);
  static_cast<void>(lanes.of(*records.make({.dim = 2})));
  CHECK_FALSE(lanes.of(*one).latency.measured());
  CHECK(count(lanes) == 1);
}

TEST_CASE("lanes: new ones believe what the warm-up measured") {
  Records records;
  TestLanes lanes(4);
  LatencyTable seed;
  seed.record(1, 777);
  lanes.seed(seed, 8);
  CHECK(lanes.of(*records.make({.dim = 8})).latency.mean(1) == 777);
  CHECK_FALSE(lanes.of(*records.make({.dim = 1024})).latency.measured());  // of that shape only
}

TEST_CASE("lanes: states of those that hold something, in step with lane()") {
  Records records;
  TestLanes lanes(8);
  CHECK(lanes.states(false, 0).empty());
  static_cast<void>(lanes.of(*records.make({.dim = 1})));
  lanes.of(*records.make({.dim = 2})).push(records.make({.rows = 3, .dim = 2}), 0);
  lanes.of(*records.make({.dim = 3})).push(records.make({.rows = 4, .dim = 3}), 1);
  const auto states = lanes.states(false, 0);
  REQUIRE(states.size() == 2);
  CHECK(states[0].rows == 3);
  CHECK(states[1].rows == 4);
  CHECK(lanes.lane(0).takes(*records.make({.dim = 2})));
  CHECK(lanes.lane(1).takes(*records.make({.dim = 3})));
  CHECK(lanes.requests() == 2);
}

TEST_CASE("lanes: their states ask the heap for nothing, however many there are") {
  Records records;
  TestLanes lanes(4);
  for (std::int64_t dim = 1; dim <= 40; ++dim) {
    lanes.of(*records.make({.dim = dim})).push(records.make({.dim = dim}), 0);
    const std::uint64_t before = heap_allocations();
    CHECK(lanes.states(true, 0).size() == static_cast<std::size_t>(dim));
    CHECK(heap_allocations() == before);
  }
}

TEST_CASE("lanes: without heap for a new one the others serve on, and it is made when there is") {
  Records records;
  Record* known = records.make({.dim = 1});
  Record* stranger = records.make({.dim = 2});
  for (std::uint64_t nth = 1; nth < 100; ++nth) {
    TestLanes lanes(1);
    lanes.of(*known).push(known, 0);
    {
      const HeapShortage shortage(nth, HeapShortage::Lasts::once);
      try {
        exposed([&] { static_cast<void>(lanes.of(*stranger)); });
        CHECK(nth > 3);
        return;
      } catch (const std::bad_alloc&) {
      }
    }
    CHECK(count(lanes) == 1);
    CHECK(lanes.states(false, 0).size() == 1);
    CHECK(lanes.of(*known).takes(*known));
    lanes.of(*stranger).push(stranger, 1);
    CHECK(lanes.states(false, 0).size() == 2);
  }
  FAIL("it never had heap enough");
}

}  // namespace
