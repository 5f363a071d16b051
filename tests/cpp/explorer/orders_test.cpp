// Every place that names a memory order needs one: relaxed alone, some program fails. Those for
// which none can are listed with the reason. Whether a weaker order than the named one would do is
// not asked.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iostream>
#include <string>
#include <string_view>

#include "base/error.h"
#include "explorer/programs.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using explorer::Site;
using explorer::Sites;

struct Unobservable {
  std::string_view file;
  std::string_view line;  // a part of it
  bool on_failure;
  std::string_view reason;
};
constexpr std::string_view kReadsInOrder =
    "the explorer makes a thread's reads in program order; a machine may make the next one first";
constexpr std::string_view kSeldom =
    "only the set-up and check() come here, or the slab grows, which takes a lock";
constexpr std::array kUnobservable = {
    Unobservable{"credits.h", "std::uint64_t word = word_.load(std::memory_order_seq_cst)", false,
                 kReadsInOrder},
    Unobservable{"credits.h", "word_.compare_exchange_weak(word, next", true, kReadsInOrder},
    Unobservable{"scheduler.h", "closer_epoch_.load(std::memory_order_acquire)", false,
                 kReadsInOrder},
    Unobservable{"scheduler.h", "closer_epoch_.fetch_add(1, std::memory_order_release)", false,
                 kReadsInOrder},
    Unobservable{
        "scheduler.h", "tombstones_.fetch_add(1, std::memory_order_seq_cst)", false,
        "few requests: every ring sweeps; the same pattern is 'credits: waiters and a tombstone'"},
    Unobservable{
        "scheduler.h", "tombstones_.load(std::memory_order_seq_cst)", false,
        "few requests: every ring sweeps; the same pattern is 'credits: waiters and a tombstone'"},
    Unobservable{"scheduler_hold.h", "free_.fetch_and(", false,
                 "collect_returns() acquires the same lease: needed if that were weaker"},
    Unobservable{"blocking_caller.h", "request->wait.compare_exchange_strong(word, kParked", true,
                 "without it the caller looks once more: state() acquires by itself"},
    Unobservable{"runner_bay.h",
                 "          words_[i].state.compare_exchange_strong(expected, kCalled,", false,
                 "what a hint announces is found by the bell's own read-modify-write"},
    Unobservable{"request.h", "word.compare_exchange_weak(seen, next, std::memory_order_release",
                 false, "an expiry beside a close, both beside a run: more than two preemptions"},
    Unobservable{"request_slab.h", "segments_[used_++].store", false, kSeldom},
    Unobservable{"request_slab.h", "segment.load(std::memory_order_acquire)", false, kSeldom},
};

std::string source_line(const Site& site) {
  std::ifstream in(site.file);
  std::string line;
  for (std::uint32_t i = 0; i < site.line; ++i) std::getline(in, line);
  return line;
}

std::string name_of(const Site& site) {
  return std::filesystem::path(site.file).filename().string() + ":" + std::to_string(site.line) +
         ":" + std::to_string(site.column) + (site.on_failure ? " on failure" : "");
}

bool is_listed(const Site& site) {
  const std::string file = std::filesystem::path(site.file).filename().string();
  const std::string line = source_line(site);
  return std::any_of(kUnobservable.begin(), kUnobservable.end(), [&](const Unobservable& each) {
    return each.file == file && each.on_failure == site.on_failure &&
           line.find(each.line) != std::string::npos;
  });
}

// The program that fails when the order at `site` is relaxed; null: none.
const NamedProgram* who_catches(const Site& site, const std::vector<NamedProgram>& programs) {
  for (const NamedProgram& each : programs) {
    if (!explore_all(each, 1, 1, site).failure.empty()) return &each;
  }
  return nullptr;
}

// Of the orders named in files of these rooms.
void each_is_needed(const std::vector<NamedProgram>& programs,
                    std::initializer_list<std::string_view> rooms) {
  const auto is_ours = [&](const Site& site) {
    return std::any_of(rooms.begin(), rooms.end(), [&](std::string_view room) {
      return site.file.find(text("/csrc/", room, "/")) != std::string::npos;
    });
  };
  Sites sites;
  for (const NamedProgram& each : programs) {
    explorer::Outcome sound = explore_all(each, 1, 1);
    REQUIRE_MESSAGE(sound.failure.empty(), each.name, ": ", sound.failure);
    sites.merge(sound.sites);
  }
  REQUIRE(
      std::any_of(sites.begin(), sites.end(), [&](const auto& at) { return is_ours(at.first); }));
  for (const auto& [site, order] : sites) {
    if (!is_ours(site) || is_listed(site)) continue;
    const NamedProgram* caught = who_catches(site, programs);
    std::cout << "  " << name_of(site) << ": " << (caught == nullptr ? "NOT CAUGHT" : caught->name)
              << "\n";
    CHECK_MESSAGE(caught != nullptr, name_of(site));
  }
}

TEST_CASE("orders: queue" * doctest::skip(kSanitized)) {
  each_is_needed(queue_programs(), {"queue", "memory"});
}

TEST_CASE("orders: engine" * doctest::skip(kSanitized)) {
  if (std::getenv("INFERKIT_EXPLORE") == nullptr) {
    std::cout << "orders: engine: skipped, takes minutes: INFERKIT_EXPLORE is not set\n";
    return;
  }
  each_is_needed(engine_programs(), {"batch", "engine"});
}

}  // namespace
