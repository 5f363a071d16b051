// A lane whose heap refuses to let anybody in.
#include <doctest/doctest.h>

#include <cstdint>
#include <new>
#include <vector>

#include "base/heap_count.h"
#include "batch/lane.h"
#include "support/records.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using TestLane = Lane<StdAtom>;

bool finds_heap(auto&& enter) {
  try {
    exposed(enter);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

// `enter` one after the other until the lane holds `most`, each at first without heap: then it is
// as before. Returns how often it was refused.
template <class Enter>
int enter_all(TestLane& lane, std::uint32_t most, Enter&& enter) {
  int refused = 0;
  for (std::uint32_t count = 0; count < most; ++count) {
    const std::uint32_t rows = lane.state(false, 0).rows;
    REQUIRE(rows == 2 * count);
    for (std::uint64_t nth = 1;; ++nth) {  // of the calls that this entering makes
      const HeapShortage shortage(nth, HeapShortage::Lasts::once);
      if (finds_heap([&] { enter(count); })) break;
      ++refused;
      CHECK(lane.state(false, 0).rows == rows);
      CHECK(lane.callers() == count);
      CHECK(lane.earliest_deadline() == (count == 0 ? kNever : 100));
      CHECK(lane.empty() == (count == 0));
    }
  }
  return refused;
}

TEST_CASE("lane: a request without heap did not come, and comes when there is some") {
  Records records;
  TestLane lane(*records.make());
  const int refused = enter_all(lane, 20, [&](std::uint64_t nth) {
    lane.push(records.make({.rows = 2, .deadline = 100}), nth);
  });
  CHECK(refused >= 4);
  std::uint32_t left = 0;
  while (lane.pop_within(100, true) != nullptr) ++left;
  CHECK(left == 20);
  CHECK(lane.callers() == 0);
}

TEST_CASE("lane: a group that runs again and finds no heap did not come either") {
  Records records;
  TestLane lane(*records.make());
  const int refused = enter_all(lane, 20, [&](std::uint64_t nth) {
    lane.push_retry({records.make({.rows = 2, .priority = nth % 2 == 0 ? 1 : -1, .deadline = 100})},
                    nth, 0);
  });
  CHECK(refused >= 20);  // a list each, at least
  std::uint32_t left = 0;
  for (; lane.takes_retry(); ++left) CHECK(lane.pop_retry().size() == 1);
  CHECK(left == 20);
  CHECK(lane.callers() == 0);
}

}  // namespace
