#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <random>
#include <utility>
#include <vector>

#include "memory/tensor_pool.h"
#include "testing/counting_resource.h"

using inferkit::BlockRef;
using inferkit::PoolRef;
using inferkit::TensorPool;
using inferkit::testing::CountingResource;

namespace {

// From a byte to a megabyte, each size as likely as its double.
std::size_t any_size(std::mt19937_64& random) {
  std::uniform_real_distribution<double> octaves(0, 20);
  return static_cast<std::size_t>(std::exp2(octaves(random)));
}

TEST_CASE("tensor_pool: a long mixture of sizes leaves little of the memory in vain") {
  constexpr std::size_t kHeld = 300;
  constexpr int kRounds = 10;
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, std::size_t{1} << 30);
  std::mt19937_64 random(7);
  std::vector<std::pair<BlockRef, std::size_t>> held(kHeld);
  double worst = 0;
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < 3'000; ++i) {
      auto& [block, bytes] = held[random() % kHeld];
      bytes = any_size(random);
      block = pool->allocate(bytes);
    }
    pool->trim();  // what idles is not in vain: it is the next one's
    std::size_t asked = 0;
    for (const auto& entry : held) asked += entry.second;
    worst =
        std::max(worst, static_cast<double>(resource.bytes_held()) / static_cast<double>(asked));
  }
  std::printf("  of a mixture of sizes the pool holds at most %.2f times what was asked\n", worst);
  CHECK(worst <= 1.5);
}

}  // namespace
