// A block of the tensor pool, taken and given back by a thread that has done so before.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

#include "memory/host_resource.h"
#include "memory/tensor_pool.h"

using namespace inferkit;

namespace {

void pool_allocate_and_free(benchmark::State& state) {
  static const PoolRef pool = TensorPool::create(host_resource(), std::size_t{1} << 30);
  const auto bytes = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(pool->allocate(bytes).data());
}
BENCHMARK(pool_allocate_and_free)->Arg(128)->Arg(64 << 10)->Arg(4 << 20);
BENCHMARK(pool_allocate_and_free)->Arg(2048)->Threads(2)->UseRealTime();

// A block is taken and given back by five of these: two for its free list, two for what is lent and
// one for the count of blocks given out.
void one_locked_addition(benchmark::State& state) {
  static std::atomic<std::uint64_t> word{0};
  for (auto _ : state) benchmark::DoNotOptimize(word.fetch_add(1, std::memory_order_relaxed));
}
BENCHMARK(one_locked_addition);

void malloc_and_free(benchmark::State& state) {  // for scale
  const auto bytes = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    void* data = std::malloc(bytes);
    benchmark::DoNotOptimize(data);
    std::free(data);
  }
}
BENCHMARK(malloc_and_free)->Arg(128)->Arg(64 << 10)->Arg(4 << 20);

}  // namespace
