// What an event loop takes of its own requests, and what it leaves to runners.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "engine/scheduler.h"
#include "support/desk.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using State = RequestState;
using Members = std::vector<Record*>;

constexpr BatchLimits kTwoInstances = {.max_rows = 64, .preferred_rows = 64, .instances = 2};

// Warm-up measured 1 us a row.
void measure(Desk& desk) {
  LatencyTable table;
  for (const std::uint32_t rows : {1, 8, 16, 24, 32, 48, 64}) {
    for (int i = 0; i < 8; ++i) table.record(rows, rows * kMicrosecond);
  }
  desk.scheduler.seed(table, 8);
}

// A runner that does nothing but sleep until it is called, again and again.
class Sleeper {
 public:
  explicit Sleeper(Desk& desk) : desk_(desk) {}
  ~Sleeper() {
    over_ = true;
    desk_.scheduler.runners().notify_all();
    thread_.join();
  }

  [[nodiscard]] std::uint64_t wakes() const { return desk_.resolver.ledger.runner_wakes.get(); }

 private:
  void sleep() {
    RunnerBay<StdAtom>& bay = desk_.scheduler.runners();
    while (!over_) {
      bay.consume(0);
      if (!over_) bay.park(0);
    }
  }

  Desk& desk_;
  std::atomic<bool> over_{false};
  std::thread thread_{[this] { sleep(); }};
};

TEST_CASE("scheduler: a loop runs its own requests within its budget") {
  Desk desk;
  desk.measured(50 * kMicrosecond);
  CountingSink mine;
  CountingSink other;
  Record* first = desk.queue({.sink = &mine});
  CHECK(desk.ring_as_loop(&mine, 50 * kMicrosecond - 1) == kNoLease);
  CHECK(desk.ring_as_loop(&other, kSecond) == kNoLease);
  CHECK(first->state() == State::queued);
  Record* theirs = desk.queue({.sink = &other});
  const int lease = desk.ring_as_loop(&mine, 50 * kMicrosecond);
  REQUIRE(lease == 0);
  CHECK(desk.members(lease) == Members{first, theirs});  // it may serve others on the way
}

TEST_CASE("scheduler: a loop never runs what nobody has measured") {
  Desk desk;
  CountingSink mine;
  Record* request = desk.queue({.sink = &mine});
  CHECK(desk.ring_as_loop(&mine, 0) == kNoLease);
  CHECK(desk.ring_as_loop(&mine, kSecond) == kNoLease);
  CHECK(request->state() == State::queued);
  CHECK(desk.ring_as_runner() == 0);
}

TEST_CASE("scheduler: a loop takes the part that fits where that is half, a runner what is left") {
  Desk desk(kTwoInstances);
  measure(desk);
  CountingSink mine;
  const auto queued = desk.queue_many(64, {.sink = &mine});
  const int lease = desk.ring_as_loop(&mine, 50 * kMicrosecond);
  REQUIRE(lease == 0);
  CHECK(desk.members(lease).size() == 48);
  const int rest = desk.ring_as_runner();
  REQUIRE(rest == 1);
  CHECK(desk.members(rest).size() == 16);
}

TEST_CASE("scheduler: of less than half a loop takes nothing") {
  Desk desk(kTwoInstances);
  measure(desk);
  CountingSink mine;
  const auto queued = desk.queue_many(64, {.sink = &mine});
  CHECK(desk.ring_as_loop(&mine, 31 * kMicrosecond) == kNoLease);
  CHECK(desk.members(desk.ring_as_runner()).size() == 64);
}

TEST_CASE("scheduler: a part holds the first request whole, or there is none") {
  Desk desk(kTwoInstances);
  measure(desk);
  CountingSink mine;
  Record* first = desk.queue({.rows = 40, .sink = &mine});
  Record* second = desk.queue({.rows = 20, .sink = &mine});
  CHECK(desk.ring_as_loop(&mine, 35 * kMicrosecond) == kNoLease);  // 32 rows would fit
  CHECK(desk.members(desk.ring_as_runner()) == Members{first, second});
}

TEST_CASE("scheduler: where a loop has time for all that is left, no runner is called") {
  Desk desk(kTwoInstances);
  measure(desk);
  const Sleeper runner(desk);
  CountingSink mine;
  for (int round = 0; round < 1'000; ++round) {
    // 64 rows take 64 us, the 16 that are left 16.
    const auto queued = desk.queue_many(80, {.sink = &mine});
    int lease = desk.ring_as_loop(&mine, 80 * kMicrosecond);
    REQUIRE(desk.members(lease).size() == 64);
    REQUIRE(runner.wakes() == 0);
    desk.scheduler.batch(lease).took = 64 * kMicrosecond;
    desk.resolver.answer(desk.scheduler.batch(lease), {}, nullptr);
    lease = desk.finish_as_loop(lease, &mine, 16 * kMicrosecond);
    REQUIRE(desk.members(lease).size() == 16);
    desk.answer(lease, 16 * kMicrosecond);
  }
}

TEST_CASE("scheduler: where it has not, or others wait, too, one is") {
  Desk desk(kTwoInstances);
  measure(desk);
  const Sleeper runner(desk);
  CountingSink mine;
  CountingSink other;
  // Until it was asleep when it was called.
  for (const bool theirs : {false, true}) {
    const std::uint64_t before = runner.wakes();
    while (runner.wakes() == before) {
      const auto queued = desk.queue_many(80, {.sink = &mine});
      if (theirs) static_cast<void>(desk.queue({.dim = 9, .sink = &other}));
      const int lease = desk.ring_as_loop(&mine, (theirs ? 90 : 79) * kMicrosecond);
      REQUIRE(desk.members(lease).size() == 64);
      desk.answer(lease, 64 * kMicrosecond);
      for (int next = 0; (next = desk.ring_as_runner()) != kNoLease;) {
        desk.answer(next, 16 * kMicrosecond);
      }
    }
  }
}

TEST_CASE("scheduler: a loop goes by what runs take on a loop, and by shorter ones elsewhere") {
  Desk desk(kTwoInstances);
  measure(desk);
  CountingSink mine;
  const auto run = [&](DurationNs took, bool on_a_loop) {
    static_cast<void>(desk.queue({.sink = &mine}));
    const int lease = desk.ring_as_runner();
    desk.scheduler.batch(lease).on_a_loop = on_a_loop;
    desk.answer(lease, took);
  };
  for (int i = 0; i < 100; ++i) run(kMillisecond, false);  // a runner on a cold core
  CHECK(desk.scheduler.predicted(1) > 900 * kMicrosecond);
  CHECK(desk.scheduler.predicted(1, true) == kMicrosecond);
  for (int i = 0; i < 100; ++i) run(kMillisecond, true);
  CHECK(desk.scheduler.predicted(1, true) > 900 * kMicrosecond);
  for (int i = 0; i < 200; ++i) run(kMicrosecond, false);
  CHECK(desk.scheduler.predicted(1, true) < 10 * kMicrosecond);
}

TEST_CASE("scheduler: what a loop is told to keep, it may take") {
  // The mean is within the budget, a usual run is not.
  Desk desk(kTwoInstances);
  LatencyTable uneven;
  for (int i = 0; i < 400; ++i) uneven.record(1, (i % 2 == 0 ? 30 : 110) * kMicrosecond);
  REQUIRE(uneven.mean(1) < 100 * kMicrosecond);
  desk.scheduler.seed(uneven, 8);
  CHECK(desk.scheduler.predicted(1) < 100 * kMicrosecond);
  CHECK(desk.scheduler.predicted(1, true) > 100 * kMicrosecond);
  CountingSink mine;
  static_cast<void>(desk.queue({.sink = &mine}));
  CHECK(desk.ring_as_loop(&mine, 100 * kMicrosecond) == kNoLease);
  CHECK(desk.ring_as_loop(&mine, desk.scheduler.predicted(1, true)) == 0);
}

}  // namespace
