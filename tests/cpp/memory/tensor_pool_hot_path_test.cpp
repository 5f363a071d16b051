#include <doctest/doctest.h>

#include "base/heap_count.h"
#include "memory/tensor_pool.h"
#include "testing/counting_resource.h"

using namespace inferkit;
using inferkit::testing::CountingResource;
using inferkit::testing::heap_allocations;

namespace {

struct Cost {
  std::uint64_t heap;      // calls of operator new on this thread
  std::uint64_t resource;  // calls of the resource, each a syscall in production
  std::uint64_t misses;    // the only way to the mutex when nothing is freed
};

template <class Work>
Cost cost_of(TensorPool& pool, const CountingResource& resource, Work work) {
  const Cost before{heap_allocations(), resource.calls(), pool.stats().misses};
  work();
  return {heap_allocations() - before.heap, resource.calls() - before.resource,
          pool.stats().misses - before.misses};
}

constexpr std::size_t kSizes[] = {0, 300, 4096, 70'000, 1 << 20, 3 << 20};

TEST_CASE("tensor_pool: reusing blocks takes no heap, no system call and no lock") {
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, 64 << 20);
  for (const std::size_t bytes : kSizes) (void)pool->allocate(bytes);
  const Cost cost = cost_of(*pool, resource, [&] {
    for (int round = 0; round < 10; ++round) {
      for (const std::size_t bytes : kSizes) (void)pool->allocate(bytes);
    }
  });
  CHECK(cost.heap == 0);
  CHECK(cost.resource == 0);
  CHECK(cost.misses == 0);
}

TEST_CASE("tensor_pool: negative control: a cold pool does take all three") {
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, 64 << 20);
  const Cost cost = cost_of(*pool, resource, [&] { (void)pool->allocate(300); });
  CHECK(cost.heap > 0);
  CHECK(cost.resource == 1);
  CHECK(cost.misses == 1);
}

}  // namespace
