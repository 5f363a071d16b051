// Every place that names a memory order needs that one: weaker alone, some program fails. Those for
// which none does are listed with the reason.
#include <cstdlib>

#include "explorer/mutants.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;
constexpr auto kAcqRel = std::memory_order_acq_rel;
constexpr auto kSeqCst = std::memory_order_seq_cst;

std::vector<std::memory_order> next_weaker(const Place& place, std::memory_order order) {
  if (order == kSeqCst) {
    if (place.operation == Operation::load) return {kAcquire};
    return {place.operation == Operation::store ? kRelease : kAcqRel};
  }
  if (order == kAcqRel) return {kAcquire, kRelease};
  if (order == kRelaxed) return {};
  return {kRelaxed};
}

struct Unvisited {
  std::string_view file;
  std::string_view line;  // a part of it
  std::string_view reason;
};

// From the order named downwards, and below one that is noticed no further: whatever a run may do
// under an order it may do under a weaker one.
void weaken_each(Hunt& hunt) {
  for (const auto& [site, place] : hunt.sites()) {
    std::vector<std::memory_order> from = {place.named};
    std::set<std::memory_order> tried;
    while (!from.empty()) {
      const std::memory_order above = from.back();
      from.pop_back();
      for (const std::memory_order order : next_weaker(place, above)) {
        if (!tried.insert(order).second) continue;
        if (!hunt.is_noticed({site, Mutation::Kind::weaker, order})) from.push_back(order);
      }
    }
  }
  hunt.finish();
}

constexpr std::string_view kReadsInOrder =
    "the explorer makes a thread's reads in program order; a machine may make the next one first";

constexpr Unnoticed kEngine[] = {
    {"scheduler.h", "closer_epoch_.load(", false, kRelaxed, kReadsInOrder},
    {"scheduler.h", "closer_epoch_.fetch_add(", false, kRelaxed, kReadsInOrder},
    {"blocking_caller.h", "request->wait.compare_exchange_strong(word, kParked", true, kRelaxed,
     "who finds `done` looks at the state, which acquires by itself; kept so that one look is "
     "enough"},
};
// Orders that no program comes to.
constexpr Unvisited kUnvisited[] = {
    {"credits.h", "word_.fetch_or(kWaiting, std::memory_order_seq_cst)", "no program lacks memory"},
    {"credits.h", "(word_.load(std::memory_order_seq_cst) & kWaiting)", "no program lacks memory"},
    {"request_slab.h", "segments_[used_++].store(", "the slab grows in the set-up, or in a lock"},
    {"request_slab.h", "segment.load(std::memory_order_acquire)", "check() counts"},
};

// In files that some program comes to, every order named is come to.
void visit_each(const Hunt& hunt) {
  std::set<std::string> files;
  std::set<std::pair<std::string, std::uint32_t>> visited;
  for (const auto& [site, place] : hunt.sites()) {
    files.insert(site.file);
    // A call may go on for some lines, and the order is named in its last.
    for (std::uint32_t more = 0; more < 3; ++more) visited.emplace(site.file, site.line + more);
  }
  for (const std::string& file : files) {
    std::ifstream in(file);
    std::string line;
    for (std::uint32_t number = 1; std::getline(in, line); ++number) {
      const std::size_t at = line.find("std::memory_order_");
      if (at == std::string::npos || line.find("relaxed", at) != std::string::npos) continue;
      const bool listed =
          std::any_of(std::begin(kUnvisited), std::end(kUnvisited), [&](const Unvisited& each) {
            return file.ends_with(each.file) && line.find(each.line) != std::string::npos;
          });
      CHECK_MESSAGE(visited.contains({file, number}) != listed, file, ":", number);
    }
  }
}

TEST_CASE("orders: queue" * doctest::skip(kSanitized)) {
  Hunt hunt(queue_programs(), {"queue", "memory"}, {});
  visit_each(hunt);
  weaken_each(hunt);
}

TEST_CASE("orders: engine" * doctest::skip(kSanitized)) {
  Hunt hunt(service_programs(), {"batch", "engine"}, kEngine);
  visit_each(hunt);
  if (!at_length("orders: engine")) return;
  weaken_each(hunt);
}

}  // namespace
