#include "memory/free_list.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <thread>
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

TEST_CASE("free_list: under contention a node has one owner and none is lost") {
  Nodes nodes;
  FreeList<StdAtom> list;
  for (std::uint32_t node = 0; node < kNodes; ++node) list.push(nodes, node);
  std::atomic<int> shared_owners{0};
  std::atomic<int> popped{0};
  const auto churn = [&] {
    for (int round = 0; round < 50'000; ++round) {
      const std::uint32_t first = list.pop(nodes);
      const std::uint32_t second = list.pop(nodes);  // two held: the order of the list changes
      for (const std::uint32_t node : {first, second}) {
        if (node == FreeList<StdAtom>::kNone) continue;
        if (nodes.owners[node].fetch_add(1) != 0) ++shared_owners;
        ++nodes.payload[node];
        ++popped;
        nodes.owners[node].fetch_sub(1);
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
