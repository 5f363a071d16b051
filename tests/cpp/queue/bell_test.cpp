#include "queue/bell.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "queue/inbox.h"

using namespace inferkit;

namespace {

TEST_CASE("bell: the first to ring holds, and lets go when nobody rang meanwhile") {
  Bell<StdAtom> bell;
  CHECK(bell.ring());
  CHECK(bell.release());
  CHECK(bell.ring());
  CHECK(bell.release());
}

TEST_CASE("bell: a ring while it is held binds the holder to look again") {
  Bell<StdAtom> bell;
  REQUIRE(bell.ring());
  CHECK_FALSE(bell.ring());
  CHECK_FALSE(bell.ring());
  CHECK_FALSE(bell.release());
  CHECK_FALSE(bell.release());  // until the holder says that it looks again
  CHECK_FALSE(bell.ring());     // and it holds all the while
  bell.clear_pending();
  CHECK(bell.release());
}

TEST_CASE("bell: dropped with work pending, the next ringer takes both") {
  Bell<StdAtom> bell;
  REQUIRE(bell.ring());
  CHECK_FALSE(bell.ring());
  bell.drop();
  CHECK(bell.ring());
  CHECK(bell.release());  // taking it cleared what was pending
}

struct Item {
  Item* next = nullptr;
};

// Pushes and rings like the scheduler's users; whoever holds consumes. The plain counter is the
// proof of mutual exclusion: under TSan a second holder is a race, without it a lost count.
struct Counter {
  Inbox<StdAtom, Item> inbox;
  Bell<StdAtom> bell;
  long consumed = 0;
  long rounds = 0;
  std::atomic<bool> left_pending{false};

  void hold(int most_rounds) {
    for (int round = 1;; ++round) {
      ++rounds;
      for (Item* item = inbox.drain(); item != nullptr; item = item->next) ++consumed;
      if (bell.release()) return;
      if (round == most_rounds) {
        bell.drop();
        left_pending.store(true);  // stands for the runner that is called
        return;
      }
      bell.clear_pending();
    }
  }
};

void race(int most_rounds) {
  constexpr int kThreads = 4;
  constexpr int kEach = 10'000;
  Counter counter;
  std::vector<std::vector<Item>> items(kThreads, std::vector<Item>(kEach));
  std::vector<std::thread> threads;
  for (auto& mine : items) {
    threads.emplace_back([&] {
      for (Item& item : mine) {
        counter.inbox.push(&item);
        if (counter.bell.ring()) counter.hold(most_rounds);
        if (counter.left_pending.exchange(false) && counter.bell.ring()) {
          counter.hold(most_rounds);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (counter.left_pending && counter.bell.ring()) counter.hold(1'000'000);
  CHECK(counter.consumed == long{kThreads} * kEach);
  CHECK(counter.rounds > 0);
  CHECK(counter.bell.ring());  // and it is free at the end
}

TEST_CASE("bell: work pushed before a ring is never left behind") { race(1'000'000); }

TEST_CASE("bell: nor when a holder gives up after some rounds and somebody is called") { race(2); }

}  // namespace
