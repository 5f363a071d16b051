#include "batch/request.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using namespace inferkit;

namespace {

using Record = Request<StdAtom>;
using State = RequestState;

constexpr std::array kStates = {State::free,   State::queued,    State::claimed, State::done,
                                State::failed, State::cancelled, State::expired, State::closed};

std::uint64_t word_of(std::uint64_t generation, std::uint64_t owners, State state) {
  return generation << 32 | owners << 8 | static_cast<std::uint64_t>(state);
}

void set(Record& record, std::uint64_t word) { record.word.store(word); }

std::uint64_t owners_of(const Record& record) { return record.word.load() >> 8 & 0xff; }

TEST_CASE("request: only a request that can still change is not terminal") {
  for (const State state : kStates) {
    const bool waiting = state == State::free || state == State::queued || state == State::claimed;
    CHECK(is_terminal(state) == !waiting);
  }
}

TEST_CASE("request: opened, it is queued with two owners in its generation") {
  Record record;
  record.index = 5;
  set(record, word_of(7, 0, State::free));
  record.wait.store(static_cast<std::uint32_t>(WaitWord::done));  // what its last tenant left
  record.open();
  CHECK(record.state() == State::queued);
  CHECK(owners_of(record) == 2);
  CHECK(record.handle().generation == 7);
  CHECK(record.handle().index == 5);
  CHECK(record.wait.load() == static_cast<std::uint32_t>(WaitWord::awake));
}

TEST_CASE("request: what is left of it, and what its next run takes") {
  Record record;
  record.rows = 10;
  CHECK(record.rows_left() == 10);
  CHECK(record.next_rows() == 10);
  record.parts = std::make_unique<Parts>(10, 4);  // three of them: 4, 3, 3
  CHECK(record.rows_left() == 10);
  CHECK(record.next_rows() == 4);
}

TEST_CASE("request: move succeeds from the state named and from no other") {
  for (const State is : kStates) {
    for (const State from : kStates) {
      for (const State to : kStates) {
        Record record;
        const std::uint64_t before = word_of(0xffff'ffff, 2, is);
        set(record, before);
        CAPTURE(static_cast<int>(is));
        CAPTURE(static_cast<int>(from));
        REQUIRE(record.move(from, to) == (is == from));
        // The rest of the word is nobody's to touch.
        REQUIRE(record.word.load() == (is == from ? word_of(0xffff'ffff, 2, to) : before));
      }
    }
  }
}

TEST_CASE("request: a third party moves it only in the right state and generation") {
  for (const State is : kStates) {
    for (const State from : {State::queued, State::claimed}) {
      for (const std::uint32_t generation : {40U, 41U, 42U}) {
        Record record;
        const std::uint64_t before = word_of(41, 2, is);
        set(record, before);
        const bool fits = is == from && generation == 41;
        REQUIRE(record.move_and_own(generation, from, State::expired) == fits);
        REQUIRE(record.word.load() == (fits ? word_of(41, 3, State::expired) : before));
      }
    }
  }
}

TEST_CASE("request: a handle of the last tenant does not reach the next") {
  Record record;
  record.open();
  const Handle old = record.handle();
  set(record, word_of(old.generation + 1, 0, State::free));
  record.open();
  CHECK_FALSE(record.move_and_own(old.generation, State::queued, State::expired));
  CHECK(record.state() == State::queued);
  CHECK(record.move_and_own(record.handle().generation, State::queued, State::expired));
}

TEST_CASE("request: the last of its owners knows that it is the last") {
  Record record;
  record.open();
  REQUIRE(record.move(State::queued, State::claimed));
  REQUIRE(record.move_and_own(record.handle().generation, State::claimed, State::expired));
  CHECK_FALSE(record.drop_owner());
  CHECK_FALSE(record.drop_owner());
  CHECK(record.state() == State::expired);
  CHECK(record.drop_owner());
  CHECK(owners_of(record) == 0);
}

TEST_CASE("request: of many that want it, one wins, and each owner lets go once") {
  constexpr int kRounds = 3'000;
  constexpr std::array kEnds = {State::done, State::cancelled, State::expired};
  Record record;
  std::atomic<int> round{0};
  std::atomic<int> arrived{0};
  std::array<std::atomic<int>, kEnds.size()> wins{};
  std::atomic<int> last{0};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kEnds.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int r = 1; r <= kRounds; ++r) {
        while (round.load() < r) std::this_thread::yield();
        const std::uint32_t generation = record.handle().generation;
        // 0 and 1 are the owners; 2 is the keeper, which owns nothing unless it wins.
        const bool won = t == 2 ? record.move_and_own(generation, State::claimed, kEnds[t])
                                : record.move(State::claimed, kEnds[t]);
        if (won) wins[t].fetch_add(1);
        if ((t != 2 || won) && record.drop_owner()) last.fetch_add(1);
        arrived.fetch_add(1);
      }
    });
  }
  for (int r = 1; r <= kRounds; ++r) {
    set(record, word_of(static_cast<std::uint64_t>(r), 2, State::claimed));
    round.store(r);
    while (arrived.load() < r * static_cast<int>(kEnds.size())) std::this_thread::yield();
    REQUIRE(wins[0] + wins[1] + wins[2] == r);
    REQUIRE(last == r);
    REQUIRE(owners_of(record) == 0);
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
