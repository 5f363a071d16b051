#include "queue/credits.h"

#include <doctest/doctest.h>

#include <atomic>
#include <limits>
#include <thread>
#include <vector>

using namespace inferkit;

namespace {

using Budget = Credits<StdAtom>;
using Take = Budget::Take;

TEST_CASE("credits: exactly as many requests as promised") {
  Budget credits(2, 1 << 20);
  CHECK(credits.take(1) == Take::taken);
  CHECK(credits.take(1) == Take::taken);
  CHECK(credits.take(1) == Take::full);
  CHECK(credits.take(0) == Take::full);
  CHECK(credits.requests() == 2);
  CHECK_FALSE(credits.give(1));
  CHECK(credits.requests() == 1);
  CHECK(credits.take(0) == Take::taken);
  CHECK(credits.take(0) == Take::full);
}

TEST_CASE("credits: bytes count in steps of 64, to the last step") {
  Budget credits(100, 256);
  CHECK(credits.take(65) == Take::taken);  // two steps
  CHECK(credits.bytes() == 128);
  CHECK(credits.take(129) == Take::full);  // three do not fit
  CHECK(credits.take(128) == Take::taken);
  CHECK(credits.bytes() == 256);
  CHECK(credits.take(1) == Take::full);
  CHECK(credits.take(0) == Take::taken);  // no bytes, but a request
  CHECK_FALSE(credits.give(65));
  CHECK(credits.bytes() == 128);
  CHECK(credits.requests() == 2);
  CHECK(credits.take(128) == Take::taken);
}

TEST_CASE("credits: a refused take changes nothing") {
  Budget credits(3, 640);
  REQUIRE(credits.take(320) == Take::taken);
  CHECK(credits.take(384) == Take::full);
  CHECK(credits.requests() == 1);
  CHECK(credits.bytes() == 320);
}

TEST_CASE("credits: what can never fit is known beforehand") {
  const Budget credits(1, 1000);  // 15 whole steps
  CHECK(credits.can_hold(960));
  CHECK_FALSE(credits.can_hold(961));
  CHECK_FALSE(credits.can_hold(std::numeric_limits<std::uint64_t>::max()));
  CHECK_FALSE(credits.can_hold(std::numeric_limits<std::uint64_t>::max() - 62));
}

TEST_CASE("credits: both counters at their limits do not touch each other or the flags") {
  constexpr std::uint64_t kMostBytes = (std::uint64_t{1} << 48) - 64;
  Budget credits(Budget::kMaxRequests, kMostBytes);
  REQUIRE(credits.take(kMostBytes) == Take::taken);
  CHECK(credits.bytes() == kMostBytes);
  CHECK(credits.take(1) == Take::full);
  std::uint32_t taken = 1;
  while (credits.take(0) == Take::taken) ++taken;
  CHECK(taken == Budget::kMaxRequests);
  CHECK(credits.requests() == Budget::kMaxRequests);
  CHECK(credits.bytes() == kMostBytes);
  CHECK_FALSE(credits.closed());
  CHECK(credits.take_or_announce(0) == Take::full);
  CHECK(credits.give(kMostBytes));  // somebody waits
  CHECK(credits.bytes() == 0);
  CHECK(credits.requests() == Budget::kMaxRequests - 1);
}

TEST_CASE("credits: closed refuses everything and still takes back") {
  Budget credits(2, 1 << 10);
  REQUIRE(credits.take(64) == Take::taken);
  CHECK_FALSE(credits.closed());
  credits.close();
  CHECK(credits.closed());
  CHECK(credits.take(0) == Take::closed);
  CHECK(credits.take_or_announce(0) == Take::closed);
  CHECK(credits.requests() == 1);
  CHECK_FALSE(credits.give(64));
  CHECK(credits.requests() == 0);
  CHECK(credits.bytes() == 0);
  CHECK(credits.take(0) == Take::closed);
}

TEST_CASE("credits: only an announced waiter is owed a wake, and only one giver in a row owes it") {
  Budget credits(2, 1 << 10);
  REQUIRE(credits.take(0) == Take::taken);
  CHECK(credits.take_or_announce(0) == Take::taken);  // room: nothing to announce
  CHECK_FALSE(credits.give(0));
  REQUIRE(credits.take(0) == Take::taken);
  const std::uint32_t epoch = credits.epoch();
  CHECK(credits.take_or_announce(0) == Take::full);
  CHECK(credits.give(0));
  credits.wake_waiters();
  CHECK(credits.epoch() != epoch);
  credits.wait(epoch, kNever);  // room was made since: returns at once
  CHECK_FALSE(credits.give(0));
}

TEST_CASE("credits: idleness is announced only while something is out") {
  Budget credits(2, 1 << 10);
  CHECK_FALSE(credits.announce_unless_idle());
  REQUIRE(credits.take(100) == Take::taken);
  credits.close();
  CHECK(credits.announce_unless_idle());
  CHECK(credits.give(100));
  CHECK_FALSE(credits.announce_unless_idle());  // although the flags still stand
}

TEST_CASE("credits: many takers and sleepers, never above the limit, nobody left asleep") {
  constexpr int kThreads = 4;
  constexpr int kEach = 5'000;
  constexpr int kLimit = 2;  // fewer than threads: they really sleep
  Budget credits(kLimit, 1 << 20);
  std::atomic<int> inside{0};
  std::atomic<int> too_many{0};
  std::atomic<long> slept{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kLimit; ++i) REQUIRE(credits.take(0) == Take::taken);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const auto bytes = static_cast<std::uint64_t>(t) * 100;
      for (int i = 0; i < kEach; ++i) {
        for (;;) {
          const std::uint32_t epoch = credits.epoch();
          if (credits.take_or_announce(bytes) == Take::taken) break;
          slept.fetch_add(1, std::memory_order_relaxed);
          credits.wait(epoch, kNever);  // a lost wake would end here
        }
        if (inside.fetch_add(1) + 1 > kLimit) too_many.fetch_add(1);
        if (i % 64 == 0) std::this_thread::yield();
        inside.fetch_sub(1);
        if (credits.give(bytes)) credits.wake_waiters();
      }
    });
  }
  while (slept < kThreads) std::this_thread::yield();  // each of them has met a full house
  for (int i = 0; i < kLimit; ++i) {
    if (credits.give(0)) credits.wake_waiters();
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(too_many == 0);
  CHECK(credits.requests() == 0);
  CHECK(credits.bytes() == 0);
}

}  // namespace
