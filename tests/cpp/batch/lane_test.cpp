#include "batch/lane.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include "support/records.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using TestLane = Lane<StdAtom>;
using State = RequestState;

std::vector<Record*> pop_all(TestLane& lane) {
  std::vector<Record*> out;
  while (Record* record = lane.pop_within(0xffff'ffff, out.empty())) out.push_back(record);
  return out;
}

TEST_CASE("lane: takes requests with its own dimensions, whatever their hash says") {
  Records records;
  Record* first = records.make({.dim = 5});
  const TestLane lane(*first);
  CHECK(lane.takes(*records.make({.dim = 5})));
  Record* other = records.make({.dim = 6});
  CHECK_FALSE(lane.takes(*other));
  other->lane_hash = first->lane_hash;  // a collision
  CHECK_FALSE(lane.takes(*other));
}

TEST_CASE("lane: highest priority, then earliest deadline, then first come") {
  Records records;
  Record* plain = records.make();
  Record* later = records.make();
  Record* urgent = records.make({.priority = 2});
  Record* soon = records.make({.deadline = 500});
  Record* sooner = records.make({.deadline = 400});
  Record* low = records.make({.priority = -1, .deadline = 1});
  TestLane lane(*plain);
  std::uint64_t sequence = 0;
  for (Record* record : {plain, later, urgent, soon, sooner, low}) lane.push(record, sequence++);
  CHECK(pop_all(lane) == std::vector<Record*>{urgent, sooner, soon, plain, later, low});
  CHECK(lane.empty());
}

TEST_CASE("lane: whom no run serves in time goes behind the others, and does run after them") {
  Records records;
  TestLane lane(*records.make());
  Record* hopeless = records.make({.priority = 5, .deadline = 1'099});
  Record* worse = records.make({.deadline = 1'050});
  Record* just = records.make({.deadline = 1'100});
  Record* plain = records.make();
  std::uint64_t sequence = 0;
  for (Record* record : {hopeless, worse, just, plain}) lane.push(record, sequence++);
  lane.note_load(900);
  lane.put_hopeless_behind(1, 1'000);  // nothing is known of its runs
  CHECK(lane.state(false, 0).head == order_of(5, 0, 1'099, 0));
  lane.latency.record(1, 100);
  lane.put_hopeless_behind(1, 1'000);
  lane.put_hopeless_behind(1, 1'000);
  CHECK(lane.earliest_deadline() == 1'050);  // they expire when they would have
  CHECK(pop_all(lane) == std::vector<Record*>{just, plain, worse, hopeless});
}

TEST_CASE("lane: nobody is given up where no batch was made of late") {
  Records records;
  TestLane lane(*records.make());
  Record* hopeless = records.make({.deadline = 5 * kSecond + 1});
  Record* plain = records.make();
  lane.push(hopeless, 0);
  lane.push(plain, 1);
  lane.latency.record(1, kSecond);
  lane.put_hopeless_behind(1, 5 * kSecond);  // there was none at all
  CHECK(lane.state(false, 0).head == order_of(0, 0, 5 * kSecond + 1, 0));
  lane.note_load(4 * kSecond);
  lane.put_hopeless_behind(1, 5 * kSecond);
  CHECK(lane.state(false, 0).head == order_of(0, 0, 5 * kSecond + 1, 0));
  lane.put_hopeless_behind(1, 5 * kSecond - 1);
  CHECK(pop_all(lane) == std::vector<Record*>{plain, hopeless});
}

TEST_CASE("lane: the load is the most rows queued and running of late, and fades") {
  Records records;
  TestLane lane(*records.make());
  lane.running = 1;
  lane.running_rows = 8;
  std::uint64_t sequence = 0;
  for (int i = 0; i < 56; ++i) lane.push(records.make(), sequence++);
  CHECK(lane.state(false, 0).load_rows == 64);
  lane.note_load(0);
  CHECK(pop_all(lane).size() == 56);
  lane.push(records.make(), sequence++);
  CHECK(lane.state(false, 0).running);
  for (const std::uint32_t expected : {64U, 56U, 49U, 42U}) {
    CHECK(lane.state(false, 0).load_rows == expected);
    lane.note_load(0);
  }
  for (int batch = 0; batch < 20; ++batch) lane.note_load(0);
  CHECK(lane.state(false, 0).load_rows == 9);  // what is there now
}

TEST_CASE("lane: a batch takes the first whatever its size, and no one who does not fit") {
  Records records;
  TestLane lane(*records.make());
  Record* big = records.make({.rows = 10});
  Record* medium = records.make({.rows = 4});
  Record* small = records.make({.rows = 1});
  std::uint64_t sequence = 0;
  for (Record* record : {big, medium, small}) lane.push(record, sequence++);
  CHECK(lane.pop_within(0, false) == nullptr);
  CHECK(lane.pop_within(0, true) == big);
  CHECK(lane.pop_within(3, false) == nullptr);  // nor does a smaller one overtake it
  CHECK(lane.pop_within(4, false) == medium);
  CHECK(lane.pop_within(1, false) == small);
  CHECK(lane.pop_within(9, true) == nullptr);
}

TEST_CASE("lane: its state is that of what lies in it") {
  Records records;
  CountingSink sink;
  TestLane lane(*records.make());
  lane.push(records.make({.rows = 3, .arrival = 1'000, .deadline = 9'000}), 0);
  lane.push(
      records.make({.rows = 2, .priority = 1, .arrival = 1'200, .deadline = 9'500, .sink = &sink}),
      1);
  LaneState state = lane.state(false, 0);
  CHECK(state.rows == 5);
  CHECK(state.head_rows == 2);
  CHECK(state.head == order_of(1, 1'200, 9'500, 1));
  CHECK(state.earliest_deadline == 9'000);
  CHECK(state.latency == &lane.latency);
  CHECK(lane.callers() == 1);
  CHECK(lane.requests() == 2);
  CHECK(lane.front_sink() == &sink);
  CHECK(lane.kept_deadline() == 9'500);  // the other has a thread asleep that times itself

  REQUIRE(lane.pop_within(9, true) != nullptr);
  state = lane.state(false, 0);
  CHECK(state.rows == 3);
  CHECK(state.head_rows == 3);
  CHECK(lane.callers() == 1);
  CHECK(lane.front_sink() == nullptr);
  REQUIRE(lane.pop_within(9, true) != nullptr);
  CHECK(lane.callers() == 0);
  CHECK(lane.earliest_deadline() == kNever);
  CHECK(lane.kept_deadline() == kNever);
}

TEST_CASE("lane: learns how often requests come") {
  Records records;
  TestLane lane(*records.make());
  lane.push(records.make({.arrival = 5'000}), 0);
  CHECK(lane.state(false, 0).arrival_gap == kNever);  // one arrival says nothing
  lane.push(records.make({.arrival = 5'100}), 1);
  CHECK(lane.state(false, 0).arrival_gap == 100);
  lane.push(records.make({.arrival = 5'900}), 2);
  CHECK(lane.state(false, 0).arrival_gap > 100);
  CHECK(lane.state(false, 0).arrival_gap < 800);
  lane.push(records.make({.arrival = 5'800}), 3);  // stamped before, pushed after: not negative
  CHECK(lane.state(false, 0).arrival_gap >= 0);
}

TEST_CASE("lane: sweeping takes out who leaves, each once, and keeps the order of the others") {
  Records records;
  CountingSink sink;
  std::mt19937 random(7);
  TestLane lane(*records.make());
  std::set<Record*> gone;
  std::vector<Record*> stay;
  for (std::uint64_t i = 0; i < 40; ++i) {
    const bool leaves = i % 3 == 0;
    Record* record = records.make({.rows = 2,
                                   .priority = static_cast<std::int32_t>(random() % 5),
                                   .deadline = leaves ? 100 : 200,
                                   .sink = i % 2 == 0 ? &sink : nullptr});
    if (leaves) {
      REQUIRE(record->move(State::queued, State::cancelled));
      gone.insert(record);
    } else {
      stay.push_back(record);
    }
    lane.push(record, i);
  }
  std::stable_sort(stay.begin(), stay.end(),
                   [](Record* a, Record* b) { return a->priority > b->priority; });
  std::multiset<Record*> buried;
  lane.sweep([](Record* record) { return record->state() != State::queued; },
             [&](Record* record) { buried.insert(record); });
  CHECK(buried == std::multiset<Record*>(gone.begin(), gone.end()));
  CHECK(lane.state(false, 0).rows == 2 * stay.size());
  CHECK(lane.earliest_deadline() == 200);
  CHECK(lane.kept_deadline() == 200);
  CHECK(pop_all(lane) == stay);
  CHECK(lane.callers() == 0);
}

TEST_CASE("lane: a buried record may be used anew in the very act") {
  Records records;
  TestLane lane(*records.make());
  lane.push(records.make({.rows = 3}), 0);
  lane.push(records.make({.rows = 5}), 1);
  lane.sweep([](Record* record) { return record->rows == 3; },
             [](Record* record) { record->rows = 1'000; });
  CHECK(lane.state(false, 0).rows == 5);
}

TEST_CASE("lane: groups that failed run again as they are, as if they came now") {
  Records records;
  CountingSink sink;
  TestLane lane(*records.make());
  std::vector<Record*> all;
  for (int i = 0; i < 5; ++i) {
    all.push_back(
        records.make({.rows = 2, .deadline = 1'000 - i, .sink = i == 4 ? &sink : nullptr}));
  }
  lane.push_retry({all[0], all[1]}, 7, 5 * kSecond);
  lane.push_retry({all[2], all[3], all[4]}, 8, 5 * kSecond);
  CHECK(lane.takes_retry());
  CHECK(lane.state(false, 0).rows == 10);
  CHECK(lane.state(false, 0).head == order_of(0, 5 * kSecond, 996, 8));
  CHECK(lane.state(false, 0).head_rows == 0);
  CHECK(lane.callers() == 4);
  CHECK(lane.earliest_deadline() == 996);
  CHECK(lane.kept_deadline() == 996);
  CHECK(lane.front_sink() == nullptr);
  CHECK(lane.requests() == 5);
  CHECK(lane.pop_retry() == std::vector<Record*>{all[2], all[3], all[4]});
  CHECK(lane.state(false, 0).rows == 4);
  CHECK(lane.pop_retry() == std::vector<Record*>{all[0], all[1]});
  CHECK_FALSE(lane.takes_retry());
  CHECK(lane.callers() == 0);
}

TEST_CASE("lane: groups that failed hold up neither their lane nor are held up by it") {
  Records records;
  TestLane lane(*records.make());
  Record* bad = records.make({.rows = 2});
  Record* mate = records.make({.rows = 2});
  std::vector<Record*> waiting;
  for (std::uint64_t i = 0; i < 3; ++i) {
    waiting.push_back(records.make({.rows = 3, .arrival = kSecond}));
    lane.push(waiting.back(), i);
  }
  REQUIRE(lane.pop_within(3, true) == waiting[0]);
  lane.push_retry({bad}, 7, 5 * kSecond);
  lane.push_retry({mate}, 8, 5 * kSecond);
  // Beside other lanes it stands where it would without them; within it they go by turns.
  const Order head = order_of(0, kSecond, kNever, 1);
  CHECK(lane.state(false, 0).head == head);
  CHECK(lane.state(false, 0).head_rows == 0);
  CHECK(lane.state(true, 0).oldest_arrival == 0);
  REQUIRE(lane.takes_retry());
  CHECK(lane.pop_retry() == std::vector<Record*>{bad});
  CHECK(lane.state(false, 0).head == head);
  CHECK(lane.state(false, 0).head_rows == 3);
  CHECK(lane.state(true, 0).oldest_arrival == 0);
  REQUIRE_FALSE(lane.takes_retry());
  CHECK(lane.pop_within(3, true) == waiting[1]);
  REQUIRE(lane.takes_retry());
  CHECK(lane.pop_retry() == std::vector<Record*>{mate});
  CHECK(lane.pop_within(3, true) == waiting[2]);
  CHECK(lane.empty());
}

TEST_CASE("lane: a group that failed goes before what is less urgent in its lane, turn or not") {
  Records records;
  TestLane lane(*records.make());
  Record* later = records.make({.arrival = 9 * kSecond});
  lane.push(later, 9);
  Record* first = records.make({.priority = 1});
  Record* second = records.make();
  lane.push_retry({second}, 7, 5 * kSecond);
  lane.push_retry({first}, 8, 5 * kSecond);
  CHECK(lane.pop_retry() == std::vector<Record*>{first});
  REQUIRE(lane.takes_retry());
  CHECK(lane.pop_retry() == std::vector<Record*>{second});
  CHECK(lane.pop_within(1, true) == later);
}

TEST_CASE("lane: who leaves a group that failed is swept too, and an emptied group is gone") {
  Records records;
  TestLane lane(*records.make());
  Record* a = records.make({.rows = 2});
  Record* b = records.make({.rows = 3});
  Record* c = records.make({.rows = 4});
  lane.push_retry({a}, 1, 0);
  lane.push_retry({b, c}, 2, 0);
  for (Record* record : {a, b}) REQUIRE(record->move(State::queued, State::expired));
  std::vector<Record*> buried;
  lane.sweep([](Record* record) { return record->state() != State::queued; },
             [&](Record* record) { buried.push_back(record); });
  CHECK(buried == std::vector<Record*>{a, b});
  CHECK(lane.state(false, 0).rows == 4);
  CHECK(lane.pop_retry() == std::vector<Record*>{c});
  CHECK(lane.empty());
  CHECK(lane.callers() == 0);
}

TEST_CASE("lane: who overtakes does not make the others wait longer than allowed") {
  Records records;
  Record* first = records.make();
  first->arrival = 100;
  Record* urgent = records.make({.priority = 5});
  urgent->arrival = 900;
  TestLane lane(*first);
  lane.push(first, 0);
  lane.push(urgent, 1);
  CHECK(lane.state(true, 0).oldest_arrival == 100);
}

}  // namespace
