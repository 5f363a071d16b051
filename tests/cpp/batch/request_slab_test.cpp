#include "batch/request_slab.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/failpoint.h"
#include "memory/host_resource.h"
#include "memory/tensor_pool.h"

using namespace inferkit;

namespace {

using Slab = RequestSlab<StdAtom>;
using Record = Request<StdAtom>;
using State = RequestState;

Record* take(Slab& slab) {
  Record* record = slab.take();
  if (record == nullptr) throw std::logic_error("the slab is full");
  return record;
}

void release_both(Slab& slab, Record* record) {
  slab.release(record);
  slab.release(record);
}

TEST_CASE("request_slab: records are distinct, and known by their index") {
  Slab slab(4);
  std::set<Record*> records;
  for (int i = 0; i < 4; ++i) {
    Record* record = take(slab);
    CHECK(&slab[record->index] == record);
    CHECK(reinterpret_cast<std::uintptr_t>(record) % kCacheLineBytes == 0);
    records.insert(record);
  }
  CHECK(records.size() == 4);
}

TEST_CASE("request_slab: a record comes back when both sides let go, under the next generation") {
  Slab slab(1);
  Record* record = take(slab);
  record->open();
  const Handle first = record->handle();
  slab.release(record);
  Record* other = slab.take();  // the slab had to grow: the first is still owned
  CHECK(other != record);
  slab.release(record);
  CHECK(slab.take() == record);
  CHECK(record->state() == State::free);
  record->open();
  CHECK(record->handle().index == first.index);
  CHECK(record->handle().generation == first.generation + 1);
}

TEST_CASE("request_slab: one that was not opened after all is the next to be taken") {
  Slab slab(1);
  Record* record = take(slab);
  slab.put_back(record);
  CHECK(slab.take() == record);
  CHECK(record->state() == State::free);
}

TEST_CASE("request_slab: generations wrap without a trace in the rest of the word") {
  Slab slab(1);
  Record* record = take(slab);
  record->word.store(0xffff'ffffULL << 32);
  record->open();
  CHECK(record->handle().generation == 0xffff'ffff);
  release_both(slab, record);
  CHECK(record->word.load() == 0);
}

TEST_CASE("request_slab: the last owner frees what the record held") {
  const PoolRef pool = TensorPool::create(host_resource(), 1 << 20);
  Slab slab(1);
  Record* record = take(slab);
  record->open();
  record->payload = pool->allocate(100);
  record->result = ResultRef::adopt(BatchResult::create(*pool, {}));
  record->error = std::make_unique<Error>(ErrorCode::backend, "gone wrong");
  record->user = &slab;
  CHECK(pool->stats().blocks_in_use == 2);
  slab.release(record);
  CHECK(pool->stats().blocks_in_use == 2);
  slab.release(record);
  CHECK(pool->stats().blocks_in_use == 0);
  REQUIRE(slab.take() == record);
  CHECK(record->error == nullptr);
  CHECK(record->user == nullptr);
  CHECK_FALSE(record->result);
}

TEST_CASE("request_slab: a third owner keeps the record from being reused") {
  Slab slab(1);
  Record* record = take(slab);
  record->open();
  REQUIRE(record->move(State::queued, State::claimed));
  const Handle handle = record->handle();
  REQUIRE(record->move_and_own(handle.generation, State::claimed, State::expired));
  release_both(slab, record);
  CHECK(slab.take() != record);
  slab.release(record);
  CHECK(slab.take() == record);
  CHECK_FALSE(record->move_and_own(handle.generation, State::claimed, State::expired));
}

TEST_CASE("request_slab: grows to its last segment, says so, and goes on afterwards") {
  Slab slab(1);
  std::vector<Record*> records;
  while (Record* record = slab.take()) {
    record->open();
    REQUIRE(&slab[record->index] == record);
    records.push_back(record);
    REQUIRE(records.size() <= 10'000);
  }
  CHECK(std::set<Record*>(records.begin(), records.end()).size() == records.size());
  CHECK(records.size() == 256);
  CHECK(slab.take() == nullptr);
  CHECK(slab.count_in_flight() == 256);
  release_both(slab, records[100]);
  CHECK(slab.take() == records[100]);
}

TEST_CASE("request_slab: without memory for more it is full, and no longer once there is some") {
  Slab slab(1);
  Record* first = take(slab);
  first->open();
  {
    const failpoint::Scoped no_memory("request_slab.grow", failpoint::Plan{});
    CHECK(slab.take() == nullptr);
    CHECK(slab.count_in_flight() == 1);
    release_both(slab, first);
    CHECK(slab.take() == first);
    CHECK(slab.take() == nullptr);
  }
  Record* second = take(slab);
  CHECK(second->index == 1);
}

TEST_CASE("request_slab: a record that comes back while it is about to grow is as good") {
  Slab slab(1);
  Record* first = take(slab);
  first->open();
  const failpoint::Scoped meanwhile(
      "request_slab.empty",
      failpoint::Plan{.action = [&] { release_both(slab, first); }, .times = 1});
  CHECK(slab.take() == first);
  Record* second = take(slab);  // it had not grown
  CHECK(second->index == 1);
}

TEST_CASE("request_slab: counts what is queued or claimed, and only that") {
  Slab slab(2);  // the third lies in a second segment
  CHECK(slab.count_in_flight() == 0);
  std::vector<Record*> records;
  for (int i = 0; i < 3; ++i) records.push_back(take(slab));
  CHECK(slab.count_in_flight() == 0);
  for (Record* record : records) record->open();
  CHECK(slab.count_in_flight() == 3);
  REQUIRE(records[2]->move(State::queued, State::claimed));
  CHECK(slab.count_in_flight() == 3);
  REQUIRE(records[2]->move(State::claimed, State::done));
  REQUIRE(records[0]->move(State::queued, State::cancelled));
  CHECK(slab.count_in_flight() == 1);
}

TEST_CASE("request_slab: threads that need a record at the same moment grow it once") {
  constexpr int kThreads = 4;
  for (int round = 0; round < 50; ++round) {
    Slab slab(64);
    for (int i = 0; i < 64; ++i) REQUIRE(slab.take() != nullptr);
    std::atomic<int> ready{0};
    std::atomic<std::uint32_t> highest{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        ready.fetch_add(1);
        while (ready.load() < kThreads) {
        }
        const std::uint32_t index = take(slab)->index;
        std::uint32_t seen = highest.load();
        while (seen < index && !highest.compare_exchange_weak(seen, index)) {
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    REQUIRE(highest < 128);  // one more segment is room for all of them
  }
}

TEST_CASE("request_slab: under many threads a record has one tenant at a time") {
  constexpr int kThreads = 4;
  constexpr int kEach = 5'000;
  Slab slab(3);
  std::atomic<int> clashes{0};
  std::array<int, kThreads> tenants{};
  std::vector<std::thread> threads;
  for (int& tenant : tenants) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        Record* record = take(slab);
        record->open();
        record->user = &tenant;
        if (i % 16 == 0) std::this_thread::yield();
        if (record->user != &tenant) clashes.fetch_add(1);
        release_both(slab, record);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(clashes == 0);
  CHECK(slab.count_in_flight() == 0);
}

}  // namespace
