// What a request pays in the queue: one thread, nobody in its way, and then several.
#include <benchmark/benchmark.h>

#include "base/atom.h"
#include "batch/request_slab.h"
#include "queue/bell.h"
#include "queue/credits.h"
#include "queue/inbox.h"

using namespace inferkit;

namespace {

void credits_take_and_give(benchmark::State& state) {
  static Credits<StdAtom> credits(1024, 1 << 30);
  for (auto _ : state) {
    benchmark::DoNotOptimize(credits.take(2048));
    benchmark::DoNotOptimize(credits.give(2048));
  }
}
BENCHMARK(credits_take_and_give)->Threads(1)->Threads(2)->UseRealTime();

void slab_take_and_put_back(benchmark::State& state) {
  static RequestSlab<StdAtom> slab(1024);
  for (auto _ : state) slab.put_back(slab.take());
}
BENCHMARK(slab_take_and_put_back)->Threads(1)->Threads(2)->UseRealTime();

void inbox_push_and_drain(benchmark::State& state) {
  Inbox<StdAtom, Request<StdAtom>> inbox;
  Request<StdAtom> request;
  for (auto _ : state) {
    benchmark::DoNotOptimize(inbox.push(&request));
    benchmark::DoNotOptimize(inbox.drain());
  }
}
BENCHMARK(inbox_push_and_drain);

void bell_ring_and_release(benchmark::State& state) {
  Bell<StdAtom> bell;
  for (auto _ : state) {
    benchmark::DoNotOptimize(bell.ring());
    benchmark::DoNotOptimize(bell.release());
  }
}
BENCHMARK(bell_ring_and_release);

}  // namespace
