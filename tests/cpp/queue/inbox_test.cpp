#include "queue/inbox.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

using namespace inferkit;

namespace {

struct Node {
  Node* next = nullptr;
  int producer = 0;
  int number = 0;
};
using NodeInbox = Inbox<StdAtom, Node>;

TEST_CASE("inbox: gives everything at once, oldest first, and tells who found it empty") {
  NodeInbox inbox;
  CHECK(inbox.drain() == nullptr);
  Node nodes[3];
  CHECK(inbox.push(&nodes[0]));
  CHECK_FALSE(inbox.push(&nodes[1]));
  CHECK_FALSE(inbox.push(&nodes[2]));
  Node* list = inbox.drain();
  for (Node& node : nodes) {
    REQUIRE(list == &node);
    list = list->next;
  }
  CHECK(list == nullptr);
  CHECK(inbox.drain() == nullptr);
}

TEST_CASE("inbox: a drained node may be pushed again, and the list is empty again") {
  NodeInbox inbox;
  Node a;
  Node b;
  CHECK(inbox.push(&a));
  REQUIRE(inbox.drain() == &a);
  CHECK(inbox.push(&b));
  CHECK_FALSE(inbox.push(&a));
  CHECK(inbox.drain() == &b);
  CHECK(b.next == &a);
  CHECK(a.next == nullptr);
}

TEST_CASE("inbox: under many producers nothing is lost, doubled or out of its producer's order") {
  constexpr int kProducers = 4;
  constexpr int kEach = 20'000;
  NodeInbox inbox;
  std::vector<std::vector<Node>> nodes(kProducers, std::vector<Node>(kEach));
  std::atomic<int> found_empty{0};
  std::vector<std::thread> producers;
  for (int p = 0; p < kProducers; ++p) {
    producers.emplace_back([&, p] {
      for (int n = 0; n < kEach; ++n) {
        Node& node = nodes[static_cast<std::size_t>(p)][static_cast<std::size_t>(n)];
        node.producer = p;
        node.number = n;
        if (inbox.push(&node)) found_empty.fetch_add(1);
      }
    });
  }
  std::vector<int> seen(kProducers, 0);
  int drains = 0;
  int disorder = 0;
  for (int total = 0; total < kProducers * kEach;) {
    Node* list = inbox.drain();
    if (list != nullptr) ++drains;
    for (; list != nullptr; list = list->next, ++total) {
      int& next = seen[static_cast<std::size_t>(list->producer)];
      if (list->number != next) ++disorder;
      ++next;
    }
  }
  for (std::thread& thread : producers) thread.join();
  CHECK(disorder == 0);
  CHECK(seen == std::vector<int>(kProducers, kEach));
  CHECK(found_empty == drains);  // exactly one pusher owes the wake for each list
  CHECK(inbox.drain() == nullptr);
}

}  // namespace
