#include "memory/free_list.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

using namespace inferkit;

namespace {

constexpr std::uint32_t kNodes = 4;  // few, so that a node comes back while others look at it

struct Nodes {
  std::array<std::atomic<std::uint32_t>, kNodes> links{};
  std::array<int, kNodes> payload{};  // plain: a sanitizer sees a second owner
  std::array<std::atomic<int>, kNodes> owners{};
  std::atomic<std::uint32_t>& next(std::uint32_t node) { return links[node]; }
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

TEST_CASE("free_list: last in, first out, empty in the end") {
  Nodes nodes;
  FreeList<StdAtom> list;
  CHECK(list.pop(nodes) == FreeList<StdAtom>::kNone);
  for (std::uint32_t node = 0; node < kNodes; ++node) list.push(nodes, node);
  for (std::uint32_t node = kNodes; node-- > 0;) CHECK(list.pop(nodes) == node);
  CHECK(list.pop(nodes) == FreeList<StdAtom>::kNone);
}

// A link that lets somebody in between a popper's two steps: after it read the link, before its
// CAS.
struct Link {
  std::uint32_t value = 0;
  std::function<void()> meanwhile;

  std::uint32_t load(std::memory_order) {
    const std::uint32_t seen = value;
    if (meanwhile) std::exchange(meanwhile, nullptr)();
    return seen;
  }
  void store(std::uint32_t next, std::memory_order) { value = next; }
};

struct WatchedNodes {
  std::array<Link, kNodes> links;
  Link& next(std::uint32_t node) { return links[node]; }
};

TEST_CASE("free_list: a head that went and came back is not taken for unchanged") {
  WatchedNodes nodes;
  FreeList<StdAtom> list;
  for (const std::uint32_t node : {2U, 1U, 0U}) list.push(nodes, node);
  nodes.links[0].meanwhile = [&] {
    REQUIRE(list.pop(nodes) == 0);
    REQUIRE(list.pop(nodes) == 1);  // stays with the intruder
    list.push(nodes, 0);
  };
  CHECK(list.pop(nodes) == 0);
  CHECK(list.pop(nodes) == 2);  // without a tag: 1, which has an owner
  CHECK(list.pop(nodes) == FreeList<StdAtom>::kNone);
}

TEST_CASE("free_list: under contention a node has one owner and none is lost") {
  Nodes nodes;
  FreeList<StdAtom> list;
  for (std::uint32_t node = 0; node < kNodes; ++node) list.push(nodes, node);
  std::atomic<int> shared_owners{0};
  std::atomic<int> popped{0};
  // So that the list alone orders one owner's payload before the next one's.
  constexpr auto kUnordered = std::memory_order_relaxed;
  const auto churn = [&] {
    for (int round = 0; round < 50'000; ++round) {
      const std::uint32_t first = list.pop(nodes);
      const std::uint32_t second = list.pop(nodes);  // two held: the order of the list changes
      for (const std::uint32_t node : {first, second}) {
        if (node == FreeList<StdAtom>::kNone) continue;
        if (nodes.owners[node].fetch_add(1, kUnordered) != 0)
          shared_owners.fetch_add(1, kUnordered);
        ++nodes.payload[node];
        popped.fetch_add(1, kUnordered);
        nodes.owners[node].fetch_sub(1, kUnordered);
        list.push(nodes, node);
      }
    }
  };
  std::vector<std::thread> threads;
  for (int n = 0; n < 4; ++n) threads.emplace_back(churn);
  for (std::thread& thread : threads) thread.join();
  CHECK(shared_owners == 0);
  int uses = 0;
  int left = 0;
  while (list.pop(nodes) != FreeList<StdAtom>::kNone) ++left;
  for (const int count : nodes.payload) uses += count;
  CHECK(left == static_cast<int>(kNodes));
  CHECK(uses == popped);
  CHECK(popped > 50'000);
}

}  // namespace
