#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "memory/tensor_pool.h"
#include "testing/counting_resource.h"

using namespace inferkit;
using inferkit::testing::CountingResource;

namespace {

// Blocks wander between threads through a few shared places, as results do.
struct Market {
  struct Place {
    std::mutex mutex;
    BlockRef block;
  };
  std::array<Place, 8> places;

  BlockRef swap(std::size_t at, BlockRef block) {
    Place& place = places[at % places.size()];
    const std::lock_guard lock(place.mutex);
    std::swap(place.block, block);
    return block;
  }
};

bool holds(const BlockRef& block, std::byte mark) {
  return std::all_of(block.data(), block.data() + block.size_bytes(),
                     [mark](std::byte b) { return b == mark; });
}

TEST_CASE("tensor_pool: threads that allocate, pass on, release and trim never share a byte") {
  CountingResource resource;
  std::atomic<int> damaged{0};
  std::atomic<int> served{0};
  {
    PoolRef pool = TensorPool::create(resource, 1 << 20);  // tight: exhaustion happens too
    Market market;
    const auto work = [&](unsigned seed) {
      std::mt19937 random(seed);
      for (int round = 0; round < 4'000; ++round) {
        BlockRef block = pool->try_allocate(random() % (std::size_t{1} << (random() % 19)));
        if (block) {
          ++served;
          const auto mark = static_cast<std::byte>(random() % 200);
          std::fill_n(block.data(), block.size_bytes(), mark);
          std::this_thread::yield();
          if (!holds(block, mark)) ++damaged;
        }
        block = market.swap(random(), std::move(block));
        if (random() % 512 == 0) pool->trim();
      }
    };
    std::vector<std::thread> threads;
    for (unsigned n = 0; n < 4; ++n) threads.emplace_back(work, n + 1);
    for (std::thread& thread : threads) thread.join();
    for (Market::Place& place : market.places) place.block = BlockRef();
    const PoolStats stats = pool->stats();
    CHECK(stats.blocks_in_use == 0);
    CHECK(stats.bytes_in_use == 0);
    CHECK(stats.bytes_reserved == resource.bytes_held());
    CHECK(stats.allocations == static_cast<std::uint64_t>(served));
    pool->trim();
    CHECK(pool->stats().bytes_reserved == 0);
  }
  CHECK(damaged == 0);
  CHECK(served > 4'000);
  CHECK(resource.bytes_held() == 0);
  CHECK(resource.mismatches() == 0);
}

TEST_CASE("tensor_pool: the handle may go while other threads release the last blocks") {
  for (int round = 0; round < 200; ++round) {
    CountingResource resource;
    PoolRef pool = TensorPool::create(resource, 4 << 20);
    std::vector<std::thread> threads;
    for (int n = 0; n < 3; ++n) {
      const std::size_t bytes = n == 0 ? 100 : 100'000;
      threads.emplace_back([block = pool->allocate(bytes)]() mutable { block = BlockRef(); });
    }
    pool.reset();
    for (std::thread& thread : threads) thread.join();
    REQUIRE(resource.bytes_held() == 0);
    REQUIRE(resource.mismatches() == 0);
  }
}

}  // namespace
