#include "memory/byte_budget.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "memory/tensor_pool.h"
#include "testing/counting_resource.h"

using inferkit::BlockRef;
using inferkit::ByteBudget;
using inferkit::PoolRef;
using inferkit::StdAtom;
using inferkit::TensorPool;
using inferkit::testing::CountingResource;

namespace {

constexpr std::uint64_t kMiB = 1 << 20;

TEST_CASE("byte_budget: met to the byte, never passed, and a refusal takes nothing") {
  ByteBudget<StdAtom> budget(100);
  CHECK(budget.take(60));
  CHECK_FALSE(budget.take(41));
  CHECK_FALSE(budget.take(~std::uint64_t{0}));
  CHECK(budget.used_bytes() == 60);
  CHECK(budget.take(40));
  CHECK_FALSE(budget.take(1));
  CHECK(budget.take(0));
  budget.give(100);
  CHECK(budget.used_bytes() == 0);
}

TEST_CASE("byte_budget: many takers together never pass it") {
  constexpr std::uint64_t kLimit = 1000;
  ByteBudget<StdAtom> budget(kLimit);
  std::atomic<std::uint64_t> held{0};
  std::atomic<bool> passed{false};
  std::vector<std::thread> takers;
  for (std::uint64_t bytes : {300, 400, 500, 700}) {
    takers.emplace_back([&, bytes] {
      for (int i = 0; i < 20'000; ++i) {
        if (!budget.take(bytes)) continue;
        if (held.fetch_add(bytes) + bytes > kLimit) passed = true;
        held.fetch_sub(bytes);
        budget.give(bytes);
      }
    });
  }
  for (std::thread& taker : takers) taker.join();
  CHECK_FALSE(passed);
  CHECK(budget.used_bytes() == 0);
}

TEST_CASE("tensor_pool: what others made counts, beside what it holds itself") {
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, 8 * kMiB);
  BlockRef block = pool->allocate(2 * kMiB);
  CHECK(pool->charge(5 * kMiB));
  CHECK(pool->stats().bytes_reserved == 7 * kMiB);
  CHECK(pool->stats().bytes_in_use == 7 * kMiB);
  CHECK_FALSE(pool->charge(kMiB + 1));
  CHECK_FALSE(pool->try_allocate(2 * kMiB));
  CHECK(pool->stats().bytes_in_use == 7 * kMiB);
  block = {};  // idle now: it makes way for what is asked
  CHECK(pool->charge(3 * kMiB));
  CHECK(resource.bytes_held() == 0);
  CHECK_FALSE(pool->try_allocate(1));
  pool->discharge(5 * kMiB);
  CHECK(pool->try_allocate(4 * kMiB));
  CHECK_FALSE(pool->charge(5 * kMiB + 1));
  pool->discharge(3 * kMiB);
  CHECK(pool->stats().blocks_in_use == 0);
  CHECK(pool->stats().bytes_in_use == 0);
}

TEST_CASE("tensor_pool: what is charged keeps it alive, and goes on counting") {
  CountingResource resource;
  PoolRef pool = TensorPool::create(resource, 8 * kMiB);
  const BlockRef kept = pool->allocate(kMiB);
  TensorPool& behind = *pool;
  REQUIRE(behind.charge(4 * kMiB));
  pool.reset();
  CHECK(behind.stats().bytes_in_use == 5 * kMiB);
  behind.discharge(4 * kMiB);
  CHECK(behind.stats().bytes_in_use == kMiB);
}

}  // namespace
