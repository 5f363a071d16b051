// 64 rows of 64 requests into one batch, beside a single memcpy of as many bytes.
#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "batch/assembler.h"
#include "memory/host_resource.h"
#include "support/views.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

constexpr std::int64_t kRows = 64;

// The requests' snapshots, each in a block of its own, as they lie when a batch is gathered.
struct Queued {
  explicit Queued(std::int64_t bytes)
      : signature(signature_of({spec_of("x", DType::uint8, {-1, bytes})},
                               {spec_of("y", DType::uint8, {-1, bytes})})),
        pool(TensorPool::create(host_resource(), std::size_t{1} << 30)) {
    Values<std::byte> row(DType::uint8, {1, bytes},
                          std::vector<std::byte>(static_cast<std::size_t>(bytes)));
    const TensorView view = row.view();
    const PayloadPlan plan = check_inputs(signature, {&view, 1});
    for (std::int64_t i = 0; i < kRows; ++i) {
      blocks.push_back(pool->allocate(plan.bytes));
      write_payload(signature, {&view, 1}, blocks.back().data());
      riders.push_back({blocks.back().data(), 1, 0});
    }
  }

  Signature signature;
  PoolRef pool;
  std::vector<BlockRef> blocks;
  std::vector<Rider> riders;
};

void gather_64_rows(benchmark::State& state) {
  const Queued queued(state.range(0));
  std::vector<TensorView> inputs;
  for (auto _ : state) {
    const BlockRef block = gather(queued.signature, queued.riders, *queued.pool, inputs);
    benchmark::DoNotOptimize(block.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * kRows * state.range(0));
}
BENCHMARK(gather_64_rows)->Arg(128)->Arg(512)->Arg(2048)->Arg(8192)->Arg(64 << 10);

void memcpy_64_rows(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(kRows * state.range(0));
  const std::vector<std::byte> from(bytes, std::byte{1});
  std::vector<std::byte> to(bytes);
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), bytes);
    benchmark::DoNotOptimize(to.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * kRows * state.range(0));
}
BENCHMARK(memcpy_64_rows)->Arg(128)->Arg(512)->Arg(2048)->Arg(8192)->Arg(64 << 10);

}  // namespace
