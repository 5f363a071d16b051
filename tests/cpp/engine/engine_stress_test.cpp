// Everything at once: blocked callers and event loops, cancels, deadlines, bad rows, no room.
// INFERKIT_STRESS=seconds for longer runs, INFERKIT_STRESS_SEED to repeat one.
#include <doctest/doctest.h>

#include <cstdio>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "support/customer.h"
#include "support/engine_rig.h"
#include "support/environment.h"
#include "support/failpoint_plans.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

// `blocking` of the threads block for each answer, the others have a mailbox.
EngineStats stress(std::uint32_t instances, std::uint32_t threads, std::uint32_t blocking,
                   std::uint64_t seed, DurationNs time) {
  EngineOptions options;
  options.instances = instances;
  options.max_pending = 24;
  const auto engine = Engine::open(stressed_model(), options);
  Tally tally;
  {
    std::vector<std::unique_ptr<Customer>> customers;
    for (std::uint32_t i = 0; i < threads; ++i) {
      customers.push_back(
          std::make_unique<Customer>(*engine, tally, seed * 1'000 + i, i < blocking));
    }
    const TimeNs until = steady_clock().now() + time;
    std::vector<std::thread> running;
    for (auto& customer : customers) running.emplace_back([&] { customer->work(until); });
    for (std::thread& thread : running) thread.join();
    engine->close(true, kNever);  // before the mailboxes go
  }
  const EngineStats stats = engine->stats();
  CHECK(tally.wrong == 0);
  CHECK(tally.unknown == 0);
  // Each ended once for its caller; who abandons does not ask how.
  CHECK(stats.accepted ==
        tally.answered + tally.failed + tally.expired + tally.cancelled + tally.abandoned);
  CHECK(stats.answered + stats.failed == tally.answered + tally.failed + stats.undeliverable);
  CHECK(stats.expired >= tally.expired);
  CHECK(stats.cancelled >= tally.cancelled);
  Rig::check_ledger(*engine);
  return stats;
}

// For whoever looks at a run.
void print(std::uint32_t instances, std::uint32_t blocking, const EngineStats& stats) {
  std::printf(
      "  %u instances, %u of 8 threads blocking: accepted %lu answered %lu failed %lu "
      "expired %lu cancelled %lu batches %lu lent %lu inline %lu retried %lu "
      "wakes %lu/%lu/%lu/%lu\n",
      instances, blocking, stats.accepted, stats.answered, stats.failed, stats.expired,
      stats.cancelled, stats.batches, stats.lent_runs, stats.inline_runs, stats.retried_batches,
      stats.runner_wakes, stats.caller_wakes, stats.keeper_wakes, stats.sink_wakes);
}

// How long a test goes on, and from which seed; said aloud, to be repeated.
struct Length {
  DurationNs seconds = static_cast<DurationNs>(number_from("INFERKIT_STRESS", 2));
  std::uint64_t seed = number_from("INFERKIT_STRESS_SEED", std::random_device()() % 1'000'000);

  Length() {
    std::printf("engine stress: INFERKIT_STRESS=%ld INFERKIT_STRESS_SEED=%lu\n", seconds, seed);
  }
};

TEST_CASE("engine: under everything at once each request ends once and rightly") {
  const Length length;
  std::uint64_t seed = length.seed;
  for (const auto& [instances, blocking] : {std::pair{2U, 8U}, {2U, 0U}, {2U, 4U}, {1U, 4U}}) {
    const EngineStats stats = stress(instances, 8, blocking, seed++, length.seconds * kSecond / 4);
    CHECK(stats.answered > 0);
    print(instances, blocking, stats);
  }
}

TEST_CASE("engine: with every failpoint firing, many engines after each other") {
  const Length length;
  const std::uint64_t enough = length.seconds < 60 ? 3 : 100;  // firings of each
  const Planned planned(length.seed);
  std::mt19937_64 dice(length.seed);
  const TimeNs until = steady_clock().now() + length.seconds * kSecond;
  std::uint64_t accepted = 0;
  // Counts decide when it is enough; the limit only ends a run in which one never fires.
  for (int round = 0; round < 20'000; ++round) {
    if (steady_clock().now() >= until && planned.least() >= enough) break;
    const auto instances = static_cast<std::uint32_t>(1 + dice() % 3);
    const auto blocking = static_cast<std::uint32_t>(dice() % 7);
    try {
      accepted += stress(instances, 6, blocking, dice() % 1'000'000, 50 * kMillisecond).accepted;
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::model_load);  // the planned refusal of a thread
    }
  }
  planned.print(accepted);
  CHECK(planned.least() >= enough);
  planned.check_complete();
}

}  // namespace
