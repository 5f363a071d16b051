// So many requests that what is rare happens often, with the books compared at every quiet point.
// INFERKIT_STORM=requests for the long form, a tenth as many of them on a single engine (nox -s
// storm), INFERKIT_STRESS_SEED to repeat one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "support/busy_caller.h"
#include "support/customer.h"
#include "support/engine_rig.h"
#include "support/environment.h"
#include "support/failpoint_plans.h"
#include "support/patience.h"
#include "support/storm.h"
#include "support/storm_caller.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

constexpr std::uint64_t kPhases = 5;  // of a round; a quiet point after each, the last one closes

EngineOptions any_options(Dice& dice) {
  EngineOptions options;
  options.instances = 1 + dice() % 3;
  options.max_pending = std::uint32_t{16} << 2 * (dice() % 4);  // 16 .. 1024
  options.max_batch_rows = one_in(dice, 4) ? 8 : 0;
  options.max_delay_ns = one_in(dice, 4) ? 100 * kMicrosecond : 0;
  options.warmup = one_in(dice, 4);
  return options;
}

// Every way of closing, by one thread or by two.
void close_somehow(Engine& engine, Dice& dice) {
  const auto one_way = [&engine](std::uint32_t way) {
    if (way == 0) engine.close(true, kNever);
    if (way == 1) engine.close(true, kMillisecond);
    if (way == 2) static_cast<void>(engine.drain(engine.clock().now() + kMillisecond));
    if (way == 3) {
      engine.answer_queued();
      engine.stop_runs();
    }
    engine.close(false, kNever);
  };
  const std::uint32_t first = dice() % 5;
  const std::uint32_t second = dice() % 5;
  std::thread other;
  if (one_in(dice, 2)) other = std::thread([&] { one_way(second); });
  one_way(first);
  if (other.joinable()) other.join();
}

// One engine from its first request to its close.
class StormRound {
 public:
  StormRound(std::shared_ptr<Engine> engine, std::uint64_t seed)
      : dice_(seed), engine_(std::move(engine)), round_{*engine_, Weather(dice_)} {
    const std::uint32_t busy = one_in(dice_, 10) ? 0 : 1 + dice_() % 3;
    const std::uint32_t blocked = busy == 0 ? 6 : dice_() % 5;
    for (std::uint32_t i = 0; i < busy; ++i) {
      callers_.push_back(std::make_unique<BusyCaller>(round_, dice_(), one_in(dice_, 2)));
    }
    for (std::uint32_t i = 0; i < blocked; ++i) {
      callers_.push_back(std::make_unique<BlockedCaller>(round_, dice_()));
    }
    // Who blocks does so until the busy ones are done; a thread for each answer is slow.
    with_quota_ = busy == 0 ? blocked : busy;
    scarce_ = busy == 0;
  }
  ~StormRound() { engine_->close(false, kNever); }  // before the sinks go
  StormRound(const StormRound&) = delete;
  StormRound& operator=(const StormRound&) = delete;

  void play(std::uint64_t requests) {
    for (std::uint64_t phase = 1; phase <= kPhases; ++phase) {
      const std::uint64_t each = requests / kPhases / with_quota_ / (scarce_ ? 20 : 1) + 1;
      play_phase(each, phase == kPhases);
      compare_books();
    }
  }
  // `requests` more, without an end; returns the processor time that each took, in seconds.
  double go_on(std::uint64_t requests) {
    const std::uint64_t before = seen().accepted;
    const std::clock_t start = std::clock();
    play_phase(requests / with_quota_, false);
    const std::clock_t end = std::clock();
    compare_books();
    const auto more = static_cast<double>(seen().accepted - before);
    return static_cast<double>(end - start) / CLOCKS_PER_SEC / more;
  }
  [[nodiscard]] Seen seen() const {
    Seen all;
    for (const auto& caller : callers_) all += caller->seen();
    return all;
  }
  [[nodiscard]] EngineStats stats() const { return engine_->stats(); }

 private:
  void play_phase(std::uint64_t each, bool closes) {
    round_.over.store(false);
    round_.asked.store(0);
    round_.halfway.store(0);
    round_.half = closes ? each / 2 : 0;
    std::vector<std::thread> threads;
    for (auto& caller : callers_) {
      const std::uint64_t quota = threads.size() < with_quota_ ? each : UINT64_MAX;
      threads.emplace_back([&caller, quota] { caller->work(quota); });
    }
    if (closes) {
      CHECK(reaches(round_.halfway, 1));
      round_.closing.store(true);
      close_somehow(*engine_, dice_);
    }
    for (std::size_t i = 0; i < threads.size(); ++i) {
      if (i == with_quota_) round_.over.store(true);
      threads[i].join();
    }
  }

  // Runs that were given up may still be on their way.
  [[nodiscard]] bool gets_quiet() const {
    const TimeNs until = steady_clock().now() + kPatience;
    for (;;) {
      const EngineStats stats = engine_->stats();
      if (stats.in_flight == 0 && stats.queued_bytes == 0 && stats.pool.blocks_in_use == 0) {
        return true;
      }
      if (steady_clock().now() >= until) return false;
      std::this_thread::yield();
    }
  }

  void compare_books() {
    CHECK(gets_quiet());
    Rig::check_ledger(*engine_);
    const EngineStats stats = engine_->stats();
    const Seen all = seen();
    CHECK(all.wrong == 0);
    CHECK(all.twice == 0);
    CHECK(all.stuck == 0);
    CHECK(all.accepted == all.ended());
    CHECK(stats.accepted == all.accepted);
    CHECK(stats.rejected == all.refused);
    // Who abandons a request does not ask how it ended; if by a result or an error, that is told
    // as undeliverable.
    CHECK(stats.answered + stats.failed == all.answered + all.failed + stats.undeliverable);
    CHECK(stats.cancelled + stats.expired + stats.closed + stats.undeliverable ==
          all.cancelled + all.expired + all.closed + all.abandoned);
    CHECK(stats.expired >= all.expired);
    CHECK(stats.cancelled >= all.cancelled);
    CHECK(stats.closed >= all.closed);
  }

  Dice dice_;
  const std::shared_ptr<Engine> engine_;
  Round round_;
  std::vector<std::unique_ptr<StormCaller>> callers_;
  std::size_t with_quota_ = 0;
  bool scarce_ = false;
};

// What all rounds have come to.
struct Storm {
  Seen seen;
  std::uint64_t rounds = 0, batches = 0, retried = 0, lent = 0, inlined = 0;

  void add(const StormRound& round) {
    const EngineStats stats = round.stats();
    seen += round.seen();
    ++rounds;
    batches += stats.batches;
    retried += stats.retried_batches;
    lent += stats.lent_runs;
    inlined += stats.inline_runs;
  }
  void print() const {
    std::printf(
        "  %lu requests in %lu rounds: answered %lu failed %lu (no memory %lu) expired %lu "
        "cancelled %lu closed %lu abandoned %lu; in parts %lu from sinks %lu refused %lu "
        "waits for room %lu; batches %lu lent %lu inline %lu retried %lu\n",
        seen.accepted, rounds, seen.answered, seen.failed, seen.planned, seen.expired,
        seen.cancelled, seen.closed, seen.abandoned, seen.in_parts, seen.reentrant, seen.refused,
        seen.waited, batches, lent, inlined, retried);
    std::fflush(stdout);
  }
  // A storm without one of these would prove less than it says.
  void check_all_happened() const {
    for (const std::uint64_t each :
         {seen.answered, seen.failed, seen.planned, seen.expired, seen.cancelled, seen.closed,
          seen.abandoned, seen.in_parts, seen.reentrant, seen.refused, seen.waited, lent, inlined,
          retried}) {
      CHECK(each > 0);
    }
  }
};

TEST_CASE("engine: a storm that goes on leaves nothing behind, and its last tenth costs no more") {
  const std::uint64_t total = number_from("INFERKIT_STORM", 100'000) / 10;
  EngineOptions options;
  options.instances = 2;
  options.warmup = false;
  StormRound round(Engine::open(stressed_model(), options), 5);
  std::vector<double> tenths;
  std::vector<std::uint64_t> reserved;
  for (int tenth = 0; tenth < 10; ++tenth) {
    tenths.push_back(round.go_on(total / 10));
    reserved.push_back(round.stats().pool.bytes_reserved);
  }
  const EngineStats stats = round.stats();
  std::printf(
      "  %lu requests on one engine, %lu expired; a request took %.2f us of the processor in "
      "the first tenth, %.2f in the last; the pool held %lu KiB, then %lu\n",
      stats.accepted, stats.expired, tenths.front() * 1e6, tenths.back() * 1e6,
      reserved.front() >> 10, reserved.back() >> 10);
  CHECK(stats.expired > 0);
  CHECK(stats.cancelled > 0);
  CHECK(reserved.back() <= 4 * reserved.front());
  // Time judges the long form only.
  if (total >= 1'000'000) CHECK(tenths.back() <= 1.3 * std::max(tenths[0], tenths[1]));
}

TEST_CASE("engine: a storm of requests, and each ends once and rightly") {
  const std::uint64_t total = number_from("INFERKIT_STORM", 100'000);
  const std::uint64_t seed =
      number_from("INFERKIT_STRESS_SEED", std::random_device()() % 1'000'000);
  const std::uint64_t enough = total < 10'000'000 ? 3 : 100;  // firings of each failpoint
  std::printf("engine storm: INFERKIT_STORM=%lu INFERKIT_STRESS_SEED=%lu\n", total, seed);
  const Planned planned(seed, std::max(1.0, static_cast<double>(total) / 2e5));
  Dice dice(seed);
  const std::uint64_t each = std::clamp<std::uint64_t>(total / 400, 4'000, 250'000);
  const std::uint64_t most = 50 * (total / each + 10);  // ends a run in which a place never fires
  Storm storm;
  std::uint64_t told = 0;
  for (std::uint64_t i = 0; i < most; ++i) {
    if (storm.seen.accepted >= total && planned.least() >= enough) break;
    try {
      StormRound round(Engine::open(stressed_model(), any_options(dice)), dice());
      round.play(each);
      storm.add(round);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::model_load);  // the planned refusal of a thread
    }
    if (storm.seen.wrong + storm.seen.twice + storm.seen.stuck != 0) break;
    if (storm.seen.accepted / 1'000'000 <= told) continue;
    told = storm.seen.accepted / 1'000'000;
    storm.print();
  }
  storm.print();
  planned.print(storm.seen.accepted);
  CHECK(storm.seen.accepted >= total);
  CHECK(planned.least() >= enough);
  planned.check_complete();
  storm.check_all_happened();
}

}  // namespace
