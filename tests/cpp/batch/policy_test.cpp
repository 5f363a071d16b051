#include "batch/policy.h"

#include <doctest/doctest.h>

#include <limits>
#include <vector>

using namespace inferkit;

namespace {

using Kind = Decision::Kind;

constexpr TimeNs kNow = 1'000 * kSecond;

// fixed + each x rows, known well: no spread, so that p99 is the mean.
LatencyTable linear(DurationNs fixed, DurationNs each) {
  LatencyTable table;
  for (const std::uint32_t rows : {1, 2, 4, 8, 12, 16, 24, 32, 48, 64}) {
    for (int i = 0; i < 8; ++i) table.record(rows, fixed + each * rows);
  }
  return table;
}

const LatencyTable kUnmeasured;
const LatencyTable kDear = linear(kMillisecond, 100 * kMicrosecond);

LaneState lane_of(std::uint32_t rows, const LatencyTable& latency) {
  LaneState lane;
  lane.rows = rows;
  lane.head_rows = rows == 0 ? 0 : 1;
  lane.oldest_arrival = kNow;
  lane.latency = &latency;
  return lane;
}

Decision decide_one(const LaneState& lane, const BatchLimits& limits, std::uint32_t free = 1,
                    TimeNs now = kNow) {
  return decide({&lane, 1}, limits, free, now);
}

TEST_CASE("decide: nothing queued, or nothing free: nothing to do") {
  CHECK(decide({}, {}, 4, kNow).kind == Kind::idle);
  CHECK(decide_one(lane_of(5, kDear), {}, 0).kind == Kind::idle);
}

TEST_CASE("decide: a lone request never waits unless the user asked for a delay") {
  for (const LatencyTable* table : {&kUnmeasured, &kDear}) {
    for (const DurationNs gap : {DurationNs{0}, kMillisecond, kNever}) {
      LaneState lane = lane_of(1, *table);
      lane.arrival_gap = gap;
      const Decision decision = decide_one(lane, {});
      CHECK(decision.kind == Kind::run);
      CHECK(decision.rows == 1);
      CHECK(decision.lane == 0);
    }
  }
}

TEST_CASE("decide: takes what is there, up to the size that was found best") {
  CHECK(decide_one(lane_of(17, kDear), {}).rows == 17);
  CHECK(decide_one(lane_of(200, kDear), {.max_rows = 64, .preferred_rows = 32}).rows == 32);
  CHECK(decide_one(lane_of(200, kDear), {.max_rows = 64, .preferred_rows = 1}).rows == 1);
}

TEST_CASE("decide: a first request larger than the best size runs whole") {
  LaneState lane = lane_of(50, kDear);
  lane.head_rows = 40;
  CHECK(decide_one(lane, {.max_rows = 64, .preferred_rows = 8}).rows == 40);
  CHECK(decide_one(lane, {.max_rows = 64, .preferred_rows = 64}, 8).rows == 40);
}

TEST_CASE("decide: requests without rows run too") {
  const Decision decision = decide_one(lane_of(0, kDear), {.max_delay = 0});
  CHECK(decision.kind == Kind::run);
}

// --- keeping every instance busy ----------------------------------------------------------------

TEST_CASE("decide: beside a running batch it leaves a part for when the callers come back") {
  const LatencyTable table = linear(100 * kMicrosecond, 100 * kMicrosecond);
  constexpr BatchLimits kTwo{.preferred_rows = 48, .instances = 2};
  LaneState lane = lane_of(32, table);
  lane.running = true;
  lane.load_rows = 64;
  CHECK(decide_one(lane, kTwo).rows == 24);  // the next measured size from a third of 64
  lane.load_rows = 48;
  lane.rows = 40;
  CHECK(decide_one(lane, kTwo).rows == 16);  // a row costs 4 % more than in 40: worth it
  const LatencyTable costly = linear(1000 * kMicrosecond, 100 * kMicrosecond);
  LaneState cut = lane_of(48, costly);
  cut.running = true;
  cut.load_rows = 72;  // a row costs 9 % more in 32 than in 48, and 17 % more in 24
  CHECK(decide_one(cut, kTwo).rows == 32);
  lane.load_rows = 44;
  lane.rows = 12;
  CHECK(decide_one(lane, kTwo).rows == 12);  // less than a third is there
  lane.rows = 32;
  lane.head_rows = 30;
  CHECK(decide_one(lane, kTwo).rows == 30);
}

TEST_CASE(
    "decide: takes everything where no other instance is busy, or smaller batches cost more") {
  constexpr BatchLimits kTwo{.preferred_rows = 64, .instances = 2};
  const LatencyTable cheap = linear(100 * kMicrosecond, 100 * kMicrosecond);
  CHECK(decide_one(lane_of(32, cheap), kTwo).rows == 32);
  const LatencyTable dear = linear(3000 * kMicrosecond, 100 * kMicrosecond);
  LaneState lane = lane_of(32, dear);
  lane.running = true;
  lane.load_rows = 64;
  CHECK(decide_one(lane, kTwo).rows == 32);
  lane.latency = &kUnmeasured;
  CHECK(decide_one(lane, kTwo).rows == 32);
  lane.latency = &cheap;
  CHECK(decide_one(lane, {.preferred_rows = 64, .instances = 1}).rows == 32);
}

// --- waiting ------------------------------------------------------------------------------------

constexpr BatchLimits kPatient{
    .max_rows = 64, .preferred_rows = 64, .max_delay = 10 * kMillisecond};

TEST_CASE("decide: waits while the next row comes sooner than a batch's fixed cost") {
  LaneState lane = lane_of(2, kDear);
  REQUIRE(kDear.fixed_cost() == kMillisecond);
  lane.arrival_gap = 400 * kMicrosecond;  // 2 x 0.4 ms < 1 ms
  const Decision decision = decide_one(lane, kPatient);
  CHECK(decision.kind == Kind::wait);
  CHECK(decision.until == kNow + 10 * kMillisecond);
  lane.arrival_gap = 500 * kMicrosecond;  // 2 x 0.5 ms: no gain
  CHECK(decide_one(lane, kPatient).kind == Kind::run);
  lane.rows = 3;
  lane.arrival_gap = 400 * kMicrosecond;
  CHECK(decide_one(lane, kPatient).kind == Kind::run);
}

TEST_CASE("decide: never beyond the delay that the user allowed") {
  LaneState lane = lane_of(1, kDear);
  lane.arrival_gap = 0;
  const TimeNs end = kNow + kPatient.max_delay;
  CHECK(decide_one(lane, kPatient, 1, end - 1).kind == Kind::wait);
  CHECK(decide_one(lane, kPatient, 1, end).kind == Kind::run);
}

TEST_CASE("decide: a full batch has nothing to wait for") {
  LaneState lane = lane_of(64, kDear);
  lane.arrival_gap = 0;
  CHECK(decide_one(lane, kPatient).kind == Kind::run);
  lane.rows = 63;
  CHECK(decide_one(lane, kPatient).kind == Kind::wait);
}

TEST_CASE("decide: nobody known to come: run") {
  const LaneState lane = lane_of(1, kDear);
  REQUIRE(lane.arrival_gap == kNever);
  CHECK(decide_one(lane, kPatient).kind == Kind::run);
}

TEST_CASE("decide: nothing measured yet: the user's delay is all there is to go by") {
  const Decision decision = decide_one(lane_of(1, kUnmeasured), kPatient);
  CHECK(decision.kind == Kind::wait);
  CHECK(decision.until == kNow + kPatient.max_delay);
}

TEST_CASE("decide: no delay at all, and the longest one, are both understood") {
  LaneState lane = lane_of(1, kUnmeasured);
  CHECK(decide_one(lane, {.max_delay = 0}).kind == Kind::run);
  const Decision decision = decide_one(lane, {.max_delay = kNever});
  CHECK(decision.kind == Kind::wait);
  CHECK(decision.until > kNow + 1'000 * kSecond);
}

TEST_CASE("decide: waiting ends while the earliest deadline can still be kept") {
  LaneState lane = lane_of(1, kDear);
  lane.arrival_gap = 0;
  lane.earliest_deadline = kNow + 5 * kMillisecond;
  const DurationNs run = kDear.p99(2);  // with the row that is waited for
  REQUIRE(run == 1'200 * kMicrosecond);
  const Decision decision = decide_one(lane, kPatient);
  CHECK(decision.kind == Kind::wait);
  CHECK(decision.until == lane.earliest_deadline - run - kDeadlineMargin);
  CHECK(decide_one(lane, kPatient, 1, decision.until).kind == Kind::run);
  lane.earliest_deadline = kNow + run;  // too late already: at least do not make it later
  CHECK(decide_one(lane, kPatient).kind == Kind::run);
  lane.earliest_deadline = kNow + kSecond;  // far away: the delay ends first
  CHECK(decide_one(lane, kPatient).until == kNow + kPatient.max_delay);
}

TEST_CASE("decide: one lane may wait while another runs; all waiting: the first to end") {
  std::vector<LaneState> lanes = {lane_of(1, kDear), lane_of(64, kDear), lane_of(1, kDear)};
  for (LaneState& lane : lanes) lane.arrival_gap = 0;
  lanes[0].head.rank = -100;  // first in order, but it waits
  const Decision run = decide(lanes, kPatient, 1, kNow);
  CHECK(run.kind == Kind::run);
  CHECK(run.lane == 1);
  lanes[1].rows = 1;
  lanes[2].oldest_arrival = kNow - 2 * kMillisecond;
  const Decision wait = decide(lanes, kPatient, 1, kNow);
  CHECK(wait.kind == Kind::wait);
  CHECK(wait.until == kNow + 8 * kMillisecond);
}

// --- splitting among free instances
// ---------------------------------------------------------------

TEST_CASE("decide: what is queued is split among free instances when that is faster") {
  CHECK(decide_one(lane_of(64, kDear), {}, 1).rows == 64);
  CHECK(decide_one(lane_of(64, kDear), {}, 2).rows == 32);
  CHECK(decide_one(lane_of(64, kDear), {}, 3).rows == 22);
  CHECK(decide_one(lane_of(2, kDear), {}, 2).rows == 1);
  CHECK(decide_one(lane_of(1, kDear), {}, 32).rows == 1);
}

TEST_CASE("decide: enough rows for every instance: each gets a full batch") {
  CHECK(decide_one(lane_of(128, kDear), {}, 2).rows == 64);
  CHECK(decide_one(lane_of(1'000, kDear), {}, 3).rows == 64);
  CHECK(decide_one(lane_of(100, kDear), {}, 2).rows == 50);
}

TEST_CASE("decide: not split when the half saves no more than its hand-off, or nothing is known") {
  CHECK(decide_one(lane_of(64, kUnmeasured), {}, 2).rows == 64);
  const LatencyTable flat = linear(kMillisecond, 0);
  CHECK(decide_one(lane_of(64, flat), {}, 2).rows == 64);
  // 32 rows fewer save exactly the hand-off, then a little more.
  const LatencyTable exact = linear(kMillisecond, kHandOff / 32);
  CHECK(decide_one(lane_of(64, exact), {}, 2).rows == 64);
  const LatencyTable better = linear(kMillisecond, kHandOff / 32 + 1);
  CHECK(decide_one(lane_of(64, better), {}, 2).rows == 32);
}

// --- order ------------------------------------------------------------------------------------

TEST_CASE("order: priority before deadline before arrival") {
  const Order plain = order_of(0, kNow, kNever, 1);
  CHECK(order_of(1, kNow, kNever, 9) < plain);
  CHECK(order_of(-1, kNow, kNow, 0) > plain);
  CHECK(order_of(0, kNow, kNow + 5, 9) < plain);
  CHECK(order_of(0, kNow, kNow + 5, 9) < order_of(0, kNow, kNow + 6, 2));
  CHECK(order_of(1, kNow, kNever, 9) < order_of(0, kNow, kNow + 1, 1));
  CHECK(plain < order_of(0, kNow, kNever, 2));
}

TEST_CASE("order: a second of waiting is worth a step of priority, so nobody starves") {
  const Order old = order_of(0, kNow, kNever, 1);
  CHECK(order_of(3, kNow + 2 * kAgeingStep, kNever, 2) < old);
  CHECK(order_of(3, kNow + 3 * kAgeingStep, kNever, 2) < old);  // a tie: the higher priority
  CHECK(old < order_of(3, kNow + 4 * kAgeingStep, kNever, 2));
  constexpr auto kMost = std::numeric_limits<std::int32_t>::max();
  CHECK(order_of(kMost, kNow, kNever, 2) < old);  // no overflow at the ends
  CHECK(old < order_of(-kMost - 1, kNow, kNever, 0));
}

TEST_CASE("order: who waited less than a second longer goes behind a higher priority") {
  for (TimeNs arrival = 0; arrival <= 2 * kAgeingStep; arrival += kAgeingStep / 8) {
    const Order lower = order_of(3, arrival, arrival + 1, 1);
    CHECK(order_of(4, arrival + kAgeingStep - 1, kNever, 2) < lower);
    CHECK(lower < order_of(4, arrival + 2 * kAgeingStep, kNever, 2));
  }
}

TEST_CASE("decide: the lane whose first request comes first") {
  std::vector<LaneState> lanes(3, lane_of(1, kDear));
  lanes[0].head = order_of(0, kNow, kNever, 1);
  lanes[1].head = order_of(2, kNow, kNever, 3);
  lanes[2].head = order_of(0, kNow, kNow + 1, 2);
  CHECK(decide(lanes, {}, 1, kNow).lane == 1);
  lanes[1].head = order_of(0, kNow, kNever, 3);
  CHECK(decide(lanes, {}, 1, kNow).lane == 2);
  lanes[2].head = order_of(0, kNow, kNever, 4);
  CHECK(decide(lanes, {}, 1, kNow).lane == 0);
}

}  // namespace
