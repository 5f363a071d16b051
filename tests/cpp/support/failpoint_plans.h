// What goes wrong at every failpoint of the engine and its pool, all at once.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/failpoint.h"

namespace inferkit::testing {

// Lets others go on where a thread is caught between two steps.
inline void dawdle() {
  for (int i = 0; i < 20; ++i) std::this_thread::yield();
}

// `rarity` divides the probabilities of places that every request may pass; those that an engine
// passes once keep theirs.
inline std::map<std::string, failpoint::Plan> plans(std::uint64_t seed, double rarity) {
  const auto no_memory = failpoint::throw_error(ErrorCode::out_of_memory, "planned").action;
  const auto no_heap = [] { throw std::bad_alloc(); };
  const auto no_thread = failpoint::throw_error(ErrorCode::model_load, "planned").action;
  const auto plan = [&](std::function<void()> action, double probability) {
    return failpoint::Plan{.action = std::move(action), .probability = probability, .seed = ++seed};
  };
  const auto rare = [&](std::function<void()> action, double probability) {
    return plan(std::move(action), probability / rarity);
  };
  return {{"engine.start_thread", plan(no_thread, 0.2)}, {"engine.closing", plan(dawdle, 0.9)},
          {"engine.joining", plan(dawdle, 0.9)},         {"engine.runner_looks", rare(dawdle, 0.1)},
          {"executor.run", rare(no_memory, 0.02)},       {"resolver.won", rare(dawdle, 0.1)},
          {"scheduler.enters", rare(no_heap, 0.005)},    {"scheduler.let_go", rare(dawdle, 0.01)},
          {"scheduler.overrun", rare({}, 0.2)},          {"scheduler.taken_in", rare(dawdle, 0.01)},
          {"tensor_pool.carve", plan({}, 0.3)}};
}

// Arms all of plans() while it lives, and counts from there.
class Planned {
 public:
  explicit Planned(std::uint64_t seed, double rarity = 1) {
    for (const auto& [name, plan] : plans(seed, rarity)) {
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

}  // namespace inferkit::testing
