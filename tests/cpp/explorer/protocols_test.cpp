// Every program holds in every run that is made of it.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <random>

#include "explorer/programs.h"
#include "support/environment.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

// INFERKIT_EXPLORE=100 for a long exploration; INFERKIT_EXPLORE_SEED to make one again;
// INFERKIT_EXPLORE_TRACE to be told every step of a run that fails.
void all_hold(const std::vector<NamedProgram>& programs) {
  if (kSanitized) {
    std::cout << "explorer, protocols, orders: skipped, sanitizers know no fibers\n";
    return;
  }
  const std::uint64_t seed = number_from("INFERKIT_EXPLORE_SEED", std::random_device()());
  const std::uint64_t scale = number_from("INFERKIT_EXPLORE", 1);
  for (const NamedProgram& each : programs) {
    const auto start = std::chrono::steady_clock::now();
    const explorer::Outcome outcome = explore_all(each, seed, each.most_runs * scale);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::cout << "  " << each.name << ": " << outcome.runs << " runs"
              << (outcome.complete ? ", complete within the budget" : "") << ", "
              << outcome.seen.sites.size() << " places, " << took.count() << " s, seed " << seed
              << "\n";
    if (!outcome.failure.empty() && std::getenv("INFERKIT_EXPLORE_TRACE") != nullptr) {
      explorer::Replay replay(outcome.choices);
      const explorer::Settings settings{std::nullopt, outcome.counts_from, &std::cout};
      static_cast<void>(explorer::explore(each.make, replay, 1, settings));
    }
    INFO(each.name, ": ", outcome.failure, "; seed ", seed, "; choices ", outcome.choices);
    CHECK(outcome.failure == "");
    for (const std::string_view what : each.reaches) {
      CHECK_MESSAGE(outcome.seen.reached.contains(what), each.name, ": no run in which ", what);
    }
  }
}

TEST_CASE("protocols: queue") { all_hold(queue_programs()); }
TEST_CASE("protocols: engine") { all_hold(engine_programs()); }
TEST_CASE("protocols: lending") { all_hold(lending_programs()); }

}  // namespace
