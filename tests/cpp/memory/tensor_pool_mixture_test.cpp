#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <random>
#include <utility>
#include <vector>

#include "memory/tensor_pool.h"
#include "support/environment.h"
#include "testing/counting_resource.h"

using inferkit::BlockRef;
using inferkit::PoolRef;
using inferkit::TensorPool;
using inferkit::testing::CountingResource;
using inferkit::testing::number_from;

namespace {

// From a byte to `largest`, each size as likely as its double.
std::size_t any_size(std::mt19937_64& random, std::size_t largest) {
  std::uniform_real_distribution<double> octaves(0, std::log2(static_cast<double>(largest)));
  return static_cast<std::size_t>(std::exp2(octaves(random)));
}

// `sizes` blocks, of which 300 are held at a time. Returns what the pool held at worst, once what
// idled was given back, in times of what was asked.
double worst_of_a_mixture(std::uint64_t sizes, std::size_t largest) {
  constexpr std::size_t kHeld = 300;
  constexpr int kEach = 1'000;  // sizes between two looks
  CountingResource resource;
  const PoolRef pool = TensorPool::create(resource, std::size_t{16} << 30);
  std::mt19937_64 random(7);
  std::vector<std::pair<BlockRef, std::size_t>> held(kHeld);
  double worst = 0;
  for (std::uint64_t i = 1; i <= sizes; ++i) {
    auto& [block, bytes] = held[random() % kHeld];
    bytes = any_size(random, largest);
    block = pool->allocate(bytes);
    REQUIRE(block);
    if (i % kEach != 0) continue;
    pool->trim();  // what idles is not in vain: it is the next one's
    std::size_t asked = 0;
    for (const auto& entry : held) asked += entry.second;
    worst =
        std::max(worst, static_cast<double>(resource.bytes_held()) / static_cast<double>(asked));
  }
  std::printf("  of %lu sizes up to %zu bytes the pool holds at most %.2f times what was asked\n",
              sizes, largest, worst);
  return worst;
}

TEST_CASE("tensor_pool: a long mixture of sizes leaves little of the memory in vain") {
  CHECK(worst_of_a_mixture(30'000, std::size_t{1} << 20) <= 1.5);
}

// INFERKIT_SIZES=1000000 for the long form: a quarter of an hour, as this build fills every block.
TEST_CASE("tensor_pool: sizes from a byte to 64 MiB leave little in vain") {
  CHECK(worst_of_a_mixture(number_from("INFERKIT_SIZES", 2'000), std::size_t{64} << 20) <= 1.5);
}

}  // namespace
