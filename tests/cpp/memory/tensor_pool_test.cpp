#include "memory/tensor_pool.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <thread>
#include <vector>

#include "base/failpoint.h"
#include "testing/counting_resource.h"
#include "testing/fake_clock.h"

using namespace inferkit;
using inferkit::testing::CountingResource;

namespace {

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;

std::uintptr_t address(const BlockRef& block) {
  return reinterpret_cast<std::uintptr_t>(block.data());
}

TEST_CASE("tensor_pool: every size is held, aligned and apart from the others") {
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, 256 * kMiB);
  std::mt19937_64 random(2);
  std::vector<BlockRef> blocks;
  std::vector<std::pair<std::uintptr_t, std::uintptr_t>> spans;
  for (int round = 0; round < 400; ++round) {
    const std::size_t bytes = random() % (std::size_t{1} << (random() % 21));
    BlockRef block = pool->allocate(bytes);
    REQUIRE(block.data() != nullptr);
    REQUIRE(block.size_bytes() >= bytes);
    REQUIRE(address(block) % (block.size_bytes() >= kPageBytes ? kPageBytes : 64) == 0);
    spans.emplace_back(address(block), address(block) + block.size_bytes());
    blocks.push_back(std::move(block));
  }
  std::sort(spans.begin(), spans.end());
  for (std::size_t i = 1; i < spans.size(); ++i) REQUIRE(spans[i - 1].second <= spans[i].first);
}

TEST_CASE("tensor_pool: zero bytes give a block with an address") {
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, kMiB);
  const BlockRef block = pool->allocate(0);
  CHECK(block);
  CHECK(block.data() != nullptr);
}

TEST_CASE("tensor_pool: a released block is the next one given out, and shows as stale") {
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, 64 * kMiB);
  for (const std::size_t bytes : {std::size_t{1}, 3 * kKiB, 100 * kKiB, 5 * kMiB}) {
    BlockRef block = pool->allocate(bytes);
    std::byte* const data = block.data();
    CHECK(data[0] == TensorPool::kStaleByte);
    std::fill_n(data, bytes, std::byte{7});
    block = BlockRef();
    block = pool->allocate(bytes);
    CHECK(block.data() == data);
    const auto stale = [](std::byte b) { return b == TensorPool::kStaleByte; };
    CHECK(std::all_of(data, data + block.size_bytes(), stale));
  }
}

TEST_CASE("tensor_pool: a copy of the handle keeps the block") {
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, kMiB);
  BlockRef block = pool->allocate(10);
  BlockRef other = block;
  block = BlockRef();
  CHECK(pool->stats().blocks_in_use == 1);
  other = BlockRef();
  CHECK(pool->stats().blocks_in_use == 0);
}

TEST_CASE("tensor_pool: the statistics are what the resource and the callers hold") {
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, 64 * kMiB);
  std::vector<BlockRef> blocks;
  std::size_t in_use = 0;
  for (const std::size_t bytes : {std::size_t{10}, 5 * kKiB, 40 * kKiB, 3 * kMiB + 1}) {
    blocks.push_back(pool->allocate(bytes));
    in_use += blocks.back().size_bytes();
  }
  PoolStats stats = pool->stats();
  CHECK(stats.bytes_reserved == resource.bytes_held());
  CHECK(stats.bytes_in_use == in_use);
  CHECK(stats.blocks_in_use == 4);
  CHECK(stats.allocations == 4);
  CHECK(stats.misses == 4);
  blocks.clear();
  stats = pool->stats();
  CHECK(stats.bytes_in_use == 0);
  CHECK(stats.blocks_in_use == 0);
  CHECK(stats.bytes_reserved == resource.bytes_held());
  CHECK(stats.bytes_reserved > 0);
  pool->trim();
  CHECK(pool->stats().bytes_reserved == 0);
  CHECK(resource.bytes_held() == 0);
}

TEST_CASE("tensor_pool: the budget is met to the byte and never passed") {
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, 8 * kMiB);
  std::vector<BlockRef> blocks;
  for (int n = 0; n < 8; ++n) blocks.push_back(pool->allocate(kMiB));
  CHECK(resource.bytes_held() == 8 * kMiB);
  CHECK_FALSE(pool->try_allocate(1));
  blocks.pop_back();
  // The free megabyte is of another class: it is given back and cut anew.
  std::vector<BlockRef> small;
  for (int n = 0; n < 256; ++n) small.push_back(pool->allocate(4 * kKiB));
  CHECK(resource.bytes_held() == 8 * kMiB);
  CHECK_FALSE(pool->try_allocate(1));
  // And back again: the chunks of small blocks are whole once all are free.
  small.clear();
  blocks.push_back(pool->allocate(kMiB));
  CHECK(resource.bytes_held() == 8 * kMiB);
}

TEST_CASE("tensor_pool: a chunk with one lent block stays, its free blocks stay usable") {
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, kMiB);
  std::vector<BlockRef> blocks;
  for (int n = 0; n < 64; ++n) blocks.push_back(pool->allocate(1000));
  const BlockRef kept = blocks[40];
  blocks.clear();
  pool->trim();
  CHECK(resource.bytes_held() == 64 * kKiB);
  for (int n = 0; n < 63; ++n) blocks.push_back(pool->allocate(1000));
  CHECK(resource.bytes_held() == 64 * kKiB);
}

TEST_CASE("tensor_pool: a small budget is served in small chunks") {
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, 2 * kPageBytes);
  const BlockRef first = pool->allocate(100);
  const BlockRef second = pool->allocate(4000);
  CHECK(resource.bytes_held() == 2 * kPageBytes);
}

TEST_CASE("tensor_pool: over the budget is out_of_memory and names it") {
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, kMiB);
  for (const std::size_t bytes : {kMiB + 1, ~std::size_t{0}}) {
    try {
      (void)pool->allocate(bytes);
      FAIL("a block above the budget was given out");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::out_of_memory);
      CHECK(error.message().find("budget is 1048576 bytes") != std::string::npos);
    }
  }
  CHECK(pool->stats().allocations == 0);
  CHECK_FALSE(TensorPool::create(resource, 0)->try_allocate(0));
}

TEST_CASE("tensor_pool: a refusing system is out_of_memory, after the free chunks were tried") {
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, 64 * kMiB);
  resource.allow(0);
  try {
    (void)pool->allocate(100);
    FAIL("memory out of nothing");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::out_of_memory);
    CHECK(error.message().find("out of memory") != std::string::npos);
  }
  CHECK_FALSE(pool->try_allocate(100));
  resource.allow(-1);
  (void)pool->allocate(kMiB);  // comes back at once, stays as a free chunk
  resource.allow(0);
  CHECK_FALSE(pool->try_allocate(2 * kMiB));
  CHECK(resource.bytes_held() == 0);
  CHECK(pool->stats().bytes_reserved == 0);
  resource.allow(-1);
  CHECK(pool->try_allocate(2 * kMiB));
}

TEST_CASE("tensor_pool: a failure to grow leaves the blocks that lie ready") {
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, 64 * kMiB);
  (void)pool->allocate(100);
  const failpoint::Scoped armed("tensor_pool.carve", {});
  CHECK(pool->try_allocate(100));
  CHECK_FALSE(pool->try_allocate(kMiB));
  CHECK(armed->failures() > 0);
}

TEST_CASE("tensor_pool: large free blocks keep at most half of the budget") {
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, 32 * kMiB);
  std::vector<BlockRef> blocks;
  for (int n = 0; n < 8; ++n) blocks.push_back(pool->allocate(4 * kMiB));
  CHECK(resource.bytes_held() == 32 * kMiB);
  blocks.clear();
  CHECK(resource.bytes_held() == 16 * kMiB);
}

TEST_CASE("tensor_pool: sizes that change all the time do not pile up") {
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, 1024 * kMiB);
  for (std::size_t mebibytes = 2; mebibytes <= 16; ++mebibytes) {
    (void)pool->allocate(mebibytes * kMiB);
    CHECK(resource.bytes_held() <= 3 * mebibytes * kMiB);  // with the one that was just put
  }
  // A run's own sizes stay, together more than any of them.
  const auto run = [&] {
    for (const std::size_t mebibytes : {16, 12, 3}) (void)pool->allocate(mebibytes * kMiB);
  };
  run();
  const std::uint64_t misses = pool->stats().misses;
  for (int round = 0; round < 10; ++round) run();
  CHECK(pool->stats().misses == misses);
}

TEST_CASE("tensor_pool: what nobody needed of late goes back, what is usual stays") {
  CountingResource resource;
  FakeClock clock;
  const PoolRef pool = TensorPool::create(resource, 1024 * kMiB, clock);
  (void)pool->allocate(100);
  (void)pool->allocate(200 * kMiB);
  CHECK(pool->may_grow_older());
  pool->grow_older();
  CHECK(resource.bytes_held() > 200 * kMiB);  // it was needed just now
  for (int i = 0; i < 3; ++i) {
    clock.advance(RecentPeak<StdAtom>::kWindow);
    pool->grow_older();
  }
  CHECK(resource.bytes_held() == 0);
  CHECK_FALSE(pool->may_grow_older());

  // Asked for within each window, and a little for ever.
  for (int i = 0; i < 20; ++i) {
    (void)pool->allocate(100 * kMiB);
    clock.advance(RecentPeak<StdAtom>::kWindow);
    pool->grow_older();
  }
  CHECK(pool->stats().misses == 3);
  pool->trim();
  (void)pool->allocate(20 * kMiB);
  clock.advance(3600 * kSecond);
  for (int i = 0; i < 3; ++i) pool->grow_older();
  CHECK(resource.bytes_held() == 20 * kMiB);
}

TEST_CASE("tensor_pool: what is there to stay is no measure of what runs need") {
  CountingResource resource;
  FakeClock clock;
  const PoolRef pool = TensorPool::create(resource, 2048 * kMiB, clock);
  const BlockRef weights = pool->allocate(600 * kMiB);
  CHECK(pool->may_grow_older());
  pool->count_resident(static_cast<std::int64_t>(weights.size_bytes()));
  CHECK_FALSE(pool->may_grow_older());
  (void)pool->allocate(500 * kMiB);
  CHECK(pool->may_grow_older());
  for (int i = 0; i < 3; ++i) {
    clock.advance(RecentPeak<StdAtom>::kWindow);
    pool->grow_older();
  }
  CHECK(resource.bytes_held() == weights.size_bytes());
  CHECK_FALSE(pool->may_grow_older());
}

TEST_CASE("tensor_pool: what is lent is no reason to keep what idles, but for as much again") {
  CountingResource resource;
  FakeClock clock;
  const PoolRef pool = TensorPool::create(resource, 1024 * kMiB, clock);
  const BlockRef lent = pool->allocate(30 * kMiB);
  (void)pool->allocate(48 * kMiB);
  (void)pool->allocate(200 * kMiB);
  for (int i = 0; i < 3; ++i) {
    clock.advance(RecentPeak<StdAtom>::kWindow);
    pool->grow_older();
  }
  CHECK(resource.bytes_held() == 30 * kMiB);
  CHECK(pool->may_grow_older());
}

TEST_CASE("tensor_pool: blocks outlive the handle, the last one frees everything") {
  CountingResource resource;
  PoolRef pool = TensorPool::create(resource, 64 * kMiB);
  BlockRef small = pool->allocate(300);
  BlockRef large = pool->allocate(3 * kMiB);
  (void)pool->allocate(10 * kMiB);
  pool.reset();
  CHECK(resource.bytes_held() == 64 * kKiB + large.size_bytes());
  std::fill_n(large.data(), large.size_bytes(), std::byte{1});
  large = BlockRef();
  CHECK(resource.bytes_held() == 64 * kKiB);
  std::fill_n(small.data(), small.size_bytes(), std::byte{1});
  small = BlockRef();
  CHECK(resource.bytes_held() == 0);
  CHECK(resource.mismatches() == 0);
}

}  // namespace
