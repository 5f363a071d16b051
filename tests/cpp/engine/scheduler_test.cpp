#include "engine/scheduler.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "support/desk.h"
#include "support/patience.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using State = RequestState;
using Members = std::vector<Record*>;

// --- who runs ---------------------------------------------------------------------------------

TEST_CASE("scheduler: a lone caller runs its own batch, and nobody is woken") {
  Desk desk;
  Record* mine = desk.queue();
  const int lease = desk.ring_as_caller(mine);
  REQUIRE(lease == 0);
  CHECK(desk.members(lease) == Members{mine});
  CHECK(desk.scheduler.batch(lease).alone);
  CHECK(mine->state() == State::claimed);
  desk.answer(lease);
  CHECK(mine->state() == State::done);
  const auto& ledger = desk.resolver.ledger;
  CHECK(ledger.runner_wakes.get() == 0);
  CHECK(ledger.caller_wakes.get() == 0);
  CHECK(ledger.keeper_wakes.get() == 0);
}

TEST_CASE("scheduler: what arrives while the instance is busy is the next batch, in its order") {
  Desk desk;
  CountingSink sink;
  Record* first = desk.queue({.sink = &sink});
  const int lease = desk.ring_as_runner();
  REQUIRE(lease == 0);
  CHECK(desk.members(lease) == Members{first});
  const Members later = desk.queue_many(5, {.rows = 2, .sink = &sink});
  CHECK(desk.ring_as_runner() == kNoLease);  // nothing free
  for (const Record* record : later) CHECK(record->state() == State::queued);
  desk.scheduler.batch(lease).took = kMillisecond;
  desk.resolver.answer(desk.scheduler.batch(lease), {}, nullptr);
  const int next = desk.scheduler.finish(lease, Desk::runner());
  REQUIRE(next == 0);
  CHECK(desk.members(next) == later);
  CHECK(desk.scheduler.batch(next).rows == 10);
}

TEST_CASE("scheduler: who does not wait never runs, and the batch grows until somebody comes") {
  Desk desk;
  CountingSink sink;
  const Members queued = desk.queue_many(3, {.sink = &sink});
  CHECK(desk.ring() == kNoLease);
  CHECK(desk.ring() == kNoLease);
  for (const Record* record : queued) CHECK(record->state() == State::queued);
  Record* one_more = desk.queue({.sink = &sink});
  const int lease = desk.ring_as_runner();
  REQUIRE(lease == 0);
  CHECK(desk.members(lease) == Members{queued[0], queued[1], queued[2], one_more});
}

TEST_CASE("scheduler: a caller lends its thread for runs up to the limit and no longer ones") {
  for (const bool too_long : {false, true}) {
    Desk desk;
    desk.measured(too_long ? kLendLimit + 1 : kLendLimit);
    Record* mine = desk.queue();
    CHECK(desk.ring_as_caller(mine) == (too_long ? kNoLease : 0));
    CHECK(mine->state() == (too_long ? State::queued : State::claimed));
  }
}

TEST_CASE("scheduler: a caller with a deadline lends it only if the run is known to keep it") {
  Desk unmeasured;
  Record* mine = unmeasured.queue({.deadline = unmeasured.clock.now() + kSecond});
  CHECK(unmeasured.ring_as_caller(mine) == kNoLease);
  CHECK(mine->state() == State::claimed);  // by a runner
  CHECK(unmeasured.scheduler.runners().take_assigned() == 0);

  for (const DurationNs left : {kMillisecond - 1, kMillisecond}) {
    Desk desk;
    desk.measured(kMillisecond);
    mine = desk.queue({.deadline = desk.clock.now() + left});
    const bool fits = left == kMillisecond;
    CHECK(desk.ring_as_caller(mine) == (fits ? 0 : kNoLease));
    CHECK(desk.scheduler.runners().take_assigned() == (fits ? kNoLease : 0));
  }
}

TEST_CASE("scheduler: a batch without the caller goes to one who sleeps in it") {
  Desk desk({.max_rows = 64, .preferred_rows = 1});
  Record* older = desk.queue();
  Record* mine = desk.queue();
  Desk::park(older);
  CHECK(desk.ring_as_caller(mine) == kNoLease);
  CHECK(older->state() == State::claimed);
  CHECK(Desk::word_of(older) == WaitWord::lead);
  CHECK(desk.members(static_cast<int>(older->lead_lease)) == Members{older});
  CHECK(mine->state() == State::queued);
  CHECK(desk.scheduler.runners().take_assigned() == kNoLease);
  CHECK(desk.resolver.ledger.caller_wakes.get() == 1);
}

TEST_CASE("scheduler: or to a runner when nobody sleeps in it") {
  Desk desk({.max_rows = 64, .preferred_rows = 1});
  Record* older = desk.queue();
  Record* mine = desk.queue();
  CHECK(desk.ring_as_caller(mine) == kNoLease);
  CHECK(older->state() == State::claimed);
  CHECK(Desk::word_of(older) == WaitWord::awake);
  CHECK(desk.scheduler.runners().take_assigned() == 0);
  CHECK(desk.resolver.ledger.caller_wakes.get() == 0);
}

TEST_CASE("scheduler: a sleeper who could miss its deadline by running is spared") {
  Desk desk;
  desk.measured(kMillisecond);
  Record* pressed = desk.queue({.deadline = desk.clock.now() + kMillisecond / 2});
  Record* easy = desk.queue();
  Desk::park(pressed);
  Desk::park(easy);
  CHECK(desk.ring() == kNoLease);
  CHECK(Desk::word_of(pressed) == WaitWord::parked);
  CHECK(Desk::word_of(easy) == WaitWord::lead);
}

TEST_CASE("scheduler: a part of the load, those included whose answers are on their way") {
  Desk desk({.max_rows = 64, .preferred_rows = 64, .instances = 2});
  LatencyTable table;
  for (const std::uint32_t rows : {1, 8, 12, 16, 24, 32, 48}) {
    table.record(rows, (1 + rows) * 100 * kMicrosecond);
  }
  desk.scheduler.seed(table, 8);
  CountingSink sink;
  const auto rows_of_next = [&] {
    const int lease = desk.ring_as_runner();
    REQUIRE(lease != kNoLease);
    return desk.scheduler.batch(lease).rows;
  };
  static_cast<void>(desk.queue_many(48, {.sink = &sink}));
  CHECK(rows_of_next() == 24);  // half of them: both instances are free
  CHECK(rows_of_next() == 16);  // a third
  desk.answer(0);
  static_cast<void>(desk.queue_many(12, {.sink = &sink}));  // half of those who were answered
  CHECK(rows_of_next() == 16);
}

TEST_CASE("scheduler: every free instance gets a batch at once") {
  Desk desk({.max_rows = 64, .preferred_rows = 2, .instances = 3});
  const Members queued = desk.queue_many(5, {});
  for (Record* record : queued) Desk::park(record);
  CHECK(desk.ring_as_caller(queued[0]) == 0);
  CHECK(Desk::word_of(queued[0]) == WaitWord::parked);  // it has its batch already
  CHECK(Desk::word_of(queued[2]) == WaitWord::lead);
  CHECK(Desk::word_of(queued[4]) == WaitWord::lead);
  CHECK_FALSE(desk.scheduler.batch(0).alone);
  CHECK_FALSE(desk.scheduler.batch(1).alone);
  CHECK_FALSE(desk.scheduler.batch(2).alone);
}

TEST_CASE("scheduler: the prediction for a request without rows is that of one row") {
  Desk desk({.max_rows = 64, .preferred_rows = 64});
  LatencyTable table;
  table.record(1, 1'000);
  table.record(64, 64'000);
  desk.scheduler.seed(table, 8);
  CHECK(desk.scheduler.predicted(0) == desk.scheduler.predicted(1));
  CHECK(desk.scheduler.predicted(1) == 1'000);
  CHECK(desk.scheduler.predicted(64) == 64'000);
}

// --- what travels together
// ------------------------------------------------------------------------

TEST_CASE("scheduler: inner shapes never share a batch, and the first in order goes first") {
  Desk desk;
  CountingSink sink;
  Members fives;
  Members sixes;
  for (int i = 0; i < 3; ++i) {
    fives.push_back(desk.queue({.dim = 5, .sink = &sink}));
    sixes.push_back(desk.queue({.dim = 6, .sink = &sink}));
  }
  Record* urgent = desk.queue({.priority = 1, .dim = 6, .sink = &sink});
  const int first = desk.ring_as_runner();
  REQUIRE(first == 0);
  CHECK(desk.members(first) == Members{urgent, sixes[0], sixes[1], sixes[2]});
  desk.answer(first);
  const int second = desk.ring_as_runner();
  REQUIRE(second == 0);
  CHECK(desk.members(second) == fives);
}

TEST_CASE("scheduler: lanes whose hashes collide do not share a batch either") {
  Desk desk;
  CountingSink sink;
  Record* five = desk.queue({.dim = 5, .sink = &sink});
  Record* six = desk.queue({.dim = 6, .sink = &sink});
  six->lane_hash = five->lane_hash;
  const int lease = desk.ring_as_runner();
  REQUIRE(lease == 0);
  CHECK(desk.members(lease) == Members{five});
}

TEST_CASE("scheduler: a batch holds no more rows than it should, and no fewer than its first") {
  Desk desk({.max_rows = 8, .preferred_rows = 4});
  CountingSink sink;
  Record* big = desk.queue({.rows = 8, .sink = &sink});
  const Members small = desk.queue_many(5, {.rows = 1, .sink = &sink});
  int lease = desk.ring_as_runner();
  REQUIRE(lease == 0);
  CHECK(desk.members(lease) == Members{big});
  desk.answer(lease);
  lease = desk.ring_as_runner();
  REQUIRE(lease == 0);
  CHECK(desk.members(lease) == Members(small.begin(), small.begin() + 4));
}

TEST_CASE("scheduler: requests without rows do not make a batch endless") {
  Desk desk({.max_rows = 16, .preferred_rows = 16});
  CountingSink sink;
  const Members none = desk.queue_many(40, {.rows = 0, .sink = &sink});
  std::vector<std::size_t> sizes;
  for (int lease = desk.ring_as_runner(); lease != kNoLease; lease = desk.ring_as_runner()) {
    sizes.push_back(desk.members(lease).size());
    desk.answer(lease);
  }
  CHECK(sizes == std::vector<std::size_t>{16, 16, 8});
}

TEST_CASE("scheduler: a delay is waited for, and not a moment longer") {
  Desk desk({.max_rows = 64, .preferred_rows = 64, .max_delay = kMillisecond});
  Record* mine = desk.queue();
  CHECK(desk.ring_as_caller(mine) == kNoLease);
  CHECK(mine->state() == State::queued);
  desk.clock.advance(kMillisecond - 1);
  CHECK(desk.ring() == kNoLease);
  CHECK(mine->state() == State::queued);
  desk.clock.advance(1);
  Desk::park(mine);
  CHECK(desk.ring() == kNoLease);  // as the keeper does
  CHECK(Desk::word_of(mine) == WaitWord::lead);
}

// --- failed batches
// -------------------------------------------------------------------------------

TEST_CASE("scheduler: groups of a failed batch run as they are, by runners, in turn with others") {
  Desk desk;
  desk.measured(kMicrosecond);
  const Members four = desk.queue_many(4, {});
  const int lease = desk.ring_as_caller(four[0]);
  REQUIRE(lease == 0);
  Record* newcomer = desk.queue({.priority = 100});
  desk.split(lease, {{four[0], four[2]}, {four[1], four[3]}});
  CHECK(desk.ring_as_caller(four[0]) == kNoLease);
  CHECK(desk.ring_as_caller(newcomer) == kNoLease);
  int again = desk.ring_as_runner();
  REQUIRE(again == 0);
  CHECK(desk.members(again) == Members{four[0], four[2]});
  CHECK(newcomer->state() == State::queued);
  desk.answer(again);
  CHECK(newcomer->state() == State::claimed);
  CHECK(four[1]->state() == State::queued);
  desk.answer(again);
  again = desk.ring_as_runner();
  REQUIRE(again == 0);
  CHECK(desk.members(again) == Members{four[1], four[3]});
}

TEST_CASE("scheduler: who left a group that failed is not run again") {
  Desk desk;
  CountingSink sink;
  const Members two = desk.queue_many(2, {.sink = &sink});
  const int lease = desk.ring_as_runner();
  REQUIRE(lease == 0);
  desk.split(lease, {{two[0], two[1]}});
  bool was_queued = false;
  REQUIRE(desk.resolver.leave(two[0], State::cancelled, true, was_queued));
  CHECK(was_queued);
  desk.scheduler.note_tombstone();
  const int again = desk.ring_as_runner();
  REQUIRE(again == 0);
  CHECK(desk.members(again) == Members{two[1]});
}

// --- leaving
// --------------------------------------------------------------------------------------

TEST_CASE("scheduler: a deadline that passes in the queue is told, and the request never runs") {
  Desk desk;
  CountingSink sink;
  Record* late = desk.queue({.deadline = desk.clock.now() + 100, .sink = &sink});
  Record* caller = desk.queue({.deadline = desk.clock.now() + 100});
  Record* patient = desk.queue({.sink = &sink});
  const int busy = desk.ring_as_runner();
  REQUIRE(busy == 0);
  REQUIRE(desk.members(busy).size() == 3);
  desk.answer(busy);  // that one was in time

  late = desk.queue({.deadline = desk.clock.now() + 100, .sink = &sink});
  caller = desk.queue({.deadline = desk.clock.now() + 100});
  patient = desk.queue({.sink = &sink});
  static_cast<void>(sink.answers.drain());
  sink.wakes = 0;
  desk.clock.advance(100);
  const int lease = desk.ring_as_runner();
  REQUIRE(lease == 0);
  CHECK(desk.members(lease) == Members{patient});
  CHECK(late->state() == State::expired);
  CHECK(caller->state() == State::expired);
  CHECK(Desk::word_of(caller) == WaitWord::done);
  CHECK(sink.answers.drain() == late);
  CHECK(sink.wakes == 1);
  CHECK(desk.resolver.ledger.expired.get() == 2);
  CHECK(desk.resolver.credits.requests() == 1);  // theirs are back
}

TEST_CASE("scheduler: a deadline that passes in a run frees who waits, not the batch") {
  Desk desk;
  CountingSink sink;
  Record* late = desk.queue({.deadline = desk.clock.now() + 100, .sink = &sink});
  Record* caller = desk.queue({.deadline = desk.clock.now() + 100});
  const int lease = desk.ring_as_runner();
  REQUIRE(lease == 0);
  desk.clock.advance(100);
  CHECK(desk.ring() == kNoLease);
  CHECK(late->state() == State::expired);
  CHECK(sink.answers.drain() == late);
  CHECK(sink.wakes == 1);
  CHECK(caller->state() == State::claimed);  // has a thread of its own that times it
  CHECK(desk.resolver.credits.requests() == 2);
  desk.resolver.slab.release(late);
  desk.answer(lease);
  CHECK(sink.answers.drain() == nullptr);  // not told twice
  CHECK(caller->state() == State::done);
  CHECK(desk.resolver.ledger.answered.get() == 1);
  CHECK(desk.resolver.ledger.expired.get() == 1);
  CHECK(desk.resolver.credits.requests() == 0);
}

TEST_CASE("scheduler: tombstones hold no room, and are buried when met and when many") {
  Desk desk;
  CountingSink sink;
  Members queued = desk.queue_many(10, {.sink = &sink});
  REQUIRE(desk.ring() == kNoLease);  // in their lane
  const auto leave = [&](Record* record) {
    bool was_queued = false;
    REQUIRE(desk.resolver.leave(record, State::cancelled, false, was_queued));
    desk.resolver.slab.release(record);  // as who cancelled it does
    desk.scheduler.note_tombstone();
    CHECK(desk.ring() == kNoLease);
  };
  const auto is_buried = [&](std::size_t i) { return queued[i]->state() == State::free; };
  leave(queued[3]);
  CHECK(desk.resolver.credits.requests() == 9);
  leave(queued[0]);
  CHECK_FALSE((is_buried(3) || is_buried(0)));  // few: not worth a sweep
  leave(queued[1]);
  CHECK((is_buried(3) && is_buried(0) && is_buried(1)));  // more than a quarter: swept
  leave(queued[5]);
  CHECK_FALSE(is_buried(5));
  CHECK(desk.resolver.credits.requests() == 6);
  const int lease = desk.ring_as_runner();
  REQUIRE(lease == 0);
  CHECK(desk.members(lease) ==
        Members{queued[2], queued[4], queued[6], queued[7], queued[8], queued[9]});
  CHECK(is_buried(5));  // met
}

TEST_CASE("scheduler: closing answers what is queued; what runs has its end") {
  Desk desk;
  CountingSink sink;
  Record* running = desk.queue({.sink = &sink});
  const int lease = desk.ring_as_runner();
  REQUIRE(lease == 0);
  const Members waiting = desk.queue_many(3, {.dim = 9, .sink = &sink});
  Record* pushed_not_rung = desk.queue();
  desk.scheduler.begin_closing();
  CHECK(desk.ring() == kNoLease);
  for (const Record* record : waiting) CHECK(record->state() == State::closed);
  CHECK(pushed_not_rung->state() == State::closed);
  CHECK(running->state() == State::claimed);
  CHECK_FALSE(desk.scheduler.wait_all_free(desk.clock.now()));
  desk.answer(lease);
  CHECK(running->state() == State::done);
  CHECK(desk.scheduler.wait_all_free(desk.clock.now()));
  CHECK(desk.resolver.credits.requests() == 0);
}

// Asks, in the middle of being woken, whether it may be destroyed.
class AskingSink final : public Sink<StdAtom> {
 public:
  explicit AskingSink(Desk& desk) : desk_(desk) {}
  void wake() noexcept override {
    ++wakes;
    thought_over |= desk_.scheduler.wait_all_free(desk_.clock.now());
  }
  int wakes = 0;
  bool thought_over = false;

 private:
  Desk& desk_;
};

TEST_CASE("scheduler: nothing is over while somebody is about to wake a sink") {
  Desk desk;
  AskingSink sink(desk);
  CHECK(desk.scheduler.wait_all_free(desk.clock.now()));
  static_cast<void>(desk.queue({.deadline = desk.clock.now(), .sink = &sink}));
  CHECK(desk.ring() == kNoLease);  // expired
  static_cast<void>(sink.answers.drain());
  static_cast<void>(desk.queue({.sink = &sink}));
  desk.scheduler.begin_closing();
  CHECK(desk.ring() == kNoLease);  // closed
  CHECK(sink.wakes == 2);
  CHECK_FALSE(sink.thought_over);
  CHECK(desk.scheduler.wait_all_free(desk.clock.now()));
}

// --- the token
// --------------------------------------------------------------------------------------

// Somebody rings whenever the holder looks at the time, which is once a round.
class RingingClock final : public Clock {
 public:
  [[nodiscard]] TimeNs now() const noexcept override {
    if (rings_left > 0) {
      --rings_left;
      static_cast<void>(scheduler->ring({}));
    }
    return kSecond;
  }
  mutable int rings_left = 0;
  Scheduler<StdAtom>* scheduler = nullptr;
};

TEST_CASE("scheduler: a ring that nobody has time for reaches the keeper when no runner is free") {
  RingingClock clock;
  Desk desk;  // for its records
  Scheduler<StdAtom> scheduler({}, desk.resolver, clock);
  clock.scheduler = &scheduler;
  std::atomic<std::uint32_t> looks{0};
  std::thread keeper([&] {
    const RingingClock quiet;
    TimeNs due = kNever;
    while (scheduler.keeper().next(due, quiet)) step(looks);
  });
  CountingSink sink;
  Record* record = desk.resolver.slab.take();
  record->rows = 1;
  record->sink = &sink;
  record->open();
  scheduler.push(record);
  REQUIRE(scheduler.ring(Desk::runner()) == 0);  // the only runner is inside a run from now on
  clock.rings_left = 4;
  CHECK(scheduler.ring({}) == kNoLease);  // four rounds, each of them rung again
  CHECK(clock.rings_left == 0);
  CHECK(reaches(looks, 1));
  scheduler.keeper().stop();
  keeper.join();
}

TEST_CASE("sink wakes: who is told twice of one batch is woken once") {
  Ledger<StdAtom> ledger(1);
  CountingSink sink;
  CountingSink other;
  SinkWakes<StdAtom> wakes;
  for (CountingSink* told : {&sink, &other, &sink}) wakes.add(told, ledger);
  CHECK(sink.wakes == 0);  // all of it is delivered first
  wakes.send();
  CHECK(sink.wakes == 1);
  CHECK(other.wakes == 1);
  CHECK(ledger.sink_wakes.get() == 2);
}

}  // namespace
