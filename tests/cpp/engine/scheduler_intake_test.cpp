// Requests that find no heap for their place in a lane.
#include <doctest/doctest.h>

#include <new>
#include <vector>

#include "base/failpoint.h"
#include "support/desk.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using State = RequestState;

failpoint::Plan no_heap(std::uint64_t skip) {
  return {.action = [] { throw std::bad_alloc(); }, .skip = skip, .times = 1};
}

// The sink side lets go: nothing is left of the request.
void is_gone(Desk& desk, Record* record) {
  CHECK(desk.resolver.credits.requests() == 0);
  desk.resolver.slab.release(record);
  CHECK(desk.resolver.slab.take() == record);
}

TEST_CASE("scheduler: who comes and finds no heap fails, and its neighbours do not") {
  for (const std::uint64_t nth : {0, 1, 2}) {
    CAPTURE(nth);
    Desk desk;
    CountingSink sink;
    const std::vector<Record*> records = desk.queue_many(3, {.sink = &sink});
    const failpoint::Scoped fails("scheduler.enters", no_heap(nth));
    const int lease = desk.ring_as_runner();
    REQUIRE(lease != kNoLease);
    CHECK(sink.wakes == 1);
    CHECK(sink.answers.drain() == records[nth]);
    CHECK(records[nth]->state() == State::failed);
    CHECK(records[nth]->error->code() == ErrorCode::out_of_memory);
    CHECK(desk.members(lease).size() == 2);
    desk.answer(lease);
    CHECK(desk.resolver.ledger.failed.get() == 1);
    CHECK(desk.resolver.ledger.answered.get() == 2);
    is_gone(desk, records[nth]);
  }
}

TEST_CASE("scheduler: a group that is to run again and finds no heap fails as a whole") {
  for (const std::uint64_t nth : {0, 1}) {
    CAPTURE(nth);
    Desk desk;
    const std::vector<Record*> records = desk.queue_many(4, {});
    const int lease = desk.ring_as_runner();
    REQUIRE(desk.members(lease).size() == 4);
    const failpoint::Scoped fails("scheduler.enters", no_heap(nth));
    desk.split(lease, {{records[0], records[1]}, {records[2], records[3]}});
    for (std::uint64_t i = 0; i < 4; ++i) {
      CHECK(records[i]->state() == (i / 2 == nth ? State::failed : State::queued));
    }
    const int again = desk.ring_as_runner();
    CHECK(desk.members(again).size() == 2);
    desk.answer(again);
    CHECK(desk.resolver.ledger.answered.get() == 2);
    is_gone(desk, records[2 * nth]);
  }
}

TEST_CASE("scheduler: who was cancelled on the way in stays so, heap or not") {
  Desk desk;
  Record* record = desk.queue();
  bool was_queued = false;
  REQUIRE(desk.resolver.leave(record, State::cancelled, false, was_queued));
  desk.scheduler.note_tombstone();
  const failpoint::Scoped fails("scheduler.enters", no_heap(0));
  CHECK(desk.ring_as_runner() == kNoLease);
  CHECK(record->state() == State::cancelled);
  CHECK(desk.resolver.ledger.failed.get() == 0);
  is_gone(desk, record);
}

// Asks, while it is woken, whether nobody is needed any more.
class ClosingSink final : public Sink<StdAtom> {
 public:
  explicit ClosingSink(Scheduler<StdAtom>& scheduler) : scheduler_(scheduler) {}
  void wake() noexcept override { none_tells = scheduler_.wait_all_free(0); }
  bool none_tells = true;

 private:
  Scheduler<StdAtom>& scheduler_;
};

TEST_CASE("scheduler: a close waits until who found no heap is told") {
  Desk desk;
  ClosingSink sink(desk.scheduler);
  Record* record = desk.queue({.sink = &sink});
  const failpoint::Scoped fails("scheduler.enters", no_heap(0));
  static_cast<void>(desk.ring());
  CHECK(record->state() == State::failed);
  CHECK_FALSE(sink.none_tells);
  CHECK(desk.scheduler.wait_all_free(0));
  is_gone(desk, record);
}

TEST_CASE("scheduler: a time brought along is taken where nobody can have come after it") {
  Desk desk({.instances = 4});
  const TimeNs brought = desk.clock.now();
  const auto claimed_of = [&](const Record* caller) {
    return desk.scheduler.batch(desk.ring_as_caller(caller, brought)).claimed;
  };
  Record* alone = desk.queue();
  desk.clock.advance(kMicrosecond);
  CHECK(claimed_of(alone) == brought);
  Record* first = desk.queue();
  static_cast<void>(desk.queue());  // later than what the caller brings
  CHECK(claimed_of(first) == desk.clock.now());
  const Record* gone = desk.queue();
  REQUIRE(desk.ring_as_runner() != kNoLease);
  REQUIRE(gone->state() == RequestState::claimed);
  static_cast<void>(desk.queue());  // another's, and later
  Role<StdAtom> role = Desk::runner();
  role.caller = gone;
  role.now = brought;
  const int last = desk.scheduler.ring(role);
  REQUIRE(last != kNoLease);
  CHECK(desk.scheduler.batch(last).claimed == desk.clock.now());
}

}  // namespace
