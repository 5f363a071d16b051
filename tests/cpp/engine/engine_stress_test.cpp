// Everything at once: blocked callers and event loops, cancels, deadlines, bad rows, no room.
// INFERKIT_STRESS=seconds for longer runs, INFERKIT_STRESS_SEED to repeat one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "engine/engine.h"
#include "support/customer.h"
#include "support/engine_rig.h"

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

// Lets others go on where a thread is caught between two steps.
void dawdle() {
  for (int i = 0; i < 20; ++i) std::this_thread::yield();
}

// Every place of the engine and its pool, with what goes wrong there.
std::map<std::string, failpoint::Plan> plans(std::uint64_t seed) {
  const auto no_memory = failpoint::throw_error(ErrorCode::out_of_memory, "planned").action;
  const auto no_thread = failpoint::throw_error(ErrorCode::model_load, "planned").action;
  const auto plan = [&](std::function<void()> action, double probability) {
    return failpoint::Plan{.action = std::move(action), .probability = probability, .seed = ++seed};
  };
  return {{"engine.start_thread", plan(no_thread, 0.2)}, {"engine.closing", plan(dawdle, 0.9)},
          {"engine.joining", plan(dawdle, 0.9)},         {"engine.runner_looks", plan(dawdle, 0.1)},
          {"executor.run", plan(no_memory, 0.02)},       {"resolver.won", plan(dawdle, 0.05)},
          {"scheduler.let_go", plan(dawdle, 0.01)},      {"scheduler.taken_in", plan(dawdle, 0.01)},
          {"tensor_pool.carve", plan({}, 0.3)}};
}

// Arms all of plans() while it lives, and counts from there.
class Planned {
 public:
  explicit Planned(std::uint64_t seed) {
    for (const auto& [name, plan] : plans(seed)) {
      before_[name] = failpoint::at(name).failures();
      armed_.push_back(std::make_unique<failpoint::Scoped>(name, plan));
    }
  }
  [[nodiscard]] std::uint64_t fired(const std::string& name) const {
    return failpoint::at(name).failures() - before_.at(name);
  }
  [[nodiscard]] std::uint64_t least() const {
    std::uint64_t least = UINT64_MAX;
    for (const auto& entry : before_) least = std::min(least, fired(entry.first));
    return least;
  }
  // A new place of these rooms belongs into plans().
  void check_complete() const {
    for (const failpoint::Point* point : failpoint::all()) {
      const std::string room = point->name().substr(0, point->name().find('.'));
      const bool ours = room == "engine" || room == "executor" || room == "resolver" ||
                        room == "scheduler" || room == "tensor_pool";
      CAPTURE(point->name());
      CHECK((!ours || before_.contains(point->name())));
    }
  }
  void print(std::uint64_t accepted) const {
    std::printf("  %lu requests, failpoints fired:", accepted);
    for (const auto& entry : before_) {
      std::printf(" %s %lu", entry.first.c_str(), fired(entry.first));
    }
    std::puts("");
  }

 private:
  std::map<std::string, std::uint64_t> before_;
  std::vector<std::unique_ptr<failpoint::Scoped>> armed_;
};

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
