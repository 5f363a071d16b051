// The n-th call of the heap fails, for each n, and all after it: typed errors, and service goes on.
#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>

#include "base/failpoint.h"
#include "base/heap_count.h"
#include "engine/engine.h"
#include "support/starved_shop.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using Lasts = HeapShortage::Lasts;
using State = RequestState;

constexpr float kBad = StarvedModel::kBad;

// A place is made at its first visit, on the heap, wherever that is: not part of what is tested.
void visit_places() {
  for (const char* name :
       {"engine.start_thread", "engine.closing", "engine.joining", "engine.runner_looks",
        "resolver.won", "executor.run", "scheduler.taken_in", "scheduler.enters",
        "scheduler.let_go", "request_slab.empty", "request_slab.grow", "tensor_pool.carve"}) {
    static_cast<void>(failpoint::at(name));
  }
}

EngineOptions small_batches(std::uint32_t instances) {
  EngineOptions options = bare_options();
  options.instances = instances;
  options.max_batch_rows = 4;
  options.max_pending = 24;
  return options;
}

// Behind a run that lasts: lanes, priorities, parts, a batch that fails, a cancel, deadlines, a
// caller that blocks and may have to run a batch itself. Then on this very thread.
void serve(StarvedShop& shop) {
  shop.occupy({.first = 100});
  for (const std::int32_t priority : {0, 2, 1}) shop.submit({.first = 10, .priority = priority});
  shop.submit({.rows = 9, .first = 20});
  shop.submit({.first = kBad});
  for (const float first : {30.0F, 40.0F, 50.0F}) {
    shop.submit({.rows = 2, .first = first, .width = 3, .time = 3'600 * kSecond});
  }
  shop.submit({.first = 60, .width = 2, .time = 0});
  EngineRequest* cancelled = shop.submit({.rows = 6, .first = 70});
  EngineRequest* blocking = shop.start({.rows = 2, .first = 80, .width = 3});
  shop.cancel(cancelled);
  shop.open_gate();
  shop.await(blocking);
  shop.settle_all();
  shop.await(shop.start({.first = 90}));
  shop.flush({{.first = 110}, {.first = 120, .width = 4}, {.first = kBad}, {.first = 130}});
  shop.settle_all();
}

void is_served_again(StarvedShop& shop) {
  const int done = shop.ends[static_cast<std::size_t>(State::done)];
  shop.await(shop.start({.first = 5}));
  shop.submit({.rows = 9, .first = 6});
  shop.submit({.rows = 2, .first = 7, .width = 3});
  shop.submit({.first = 8, .width = 5});
  shop.settle_all();
  CHECK(shop.ends[static_cast<std::size_t>(State::done)] == done + 4);
  shop.close();
  shop.check_ledger();
}

// Calls `round`, which tells how often the heap refused, with the n-th call failing, for each n
// until there are none so many. `step`: from one n to the next.
template <class Round, class Step>
void for_each_call(Lasts lasts, Round&& round, Step&& step) {
  visit_places();
  std::uint64_t rounds = 0;
  int quiet = 0;  // at the end; how often the heap is asked depends on who comes first
  for (std::uint64_t first = 1; quiet < 3; first = step(first)) {
    CAPTURE(first);
    ++rounds;
    quiet = round(first, lasts) == 0 ? quiet + 1 : 0;
  }
  CHECK(rounds > 20);
}
constexpr auto kEach = [](std::uint64_t n) { return n + 1; };
constexpr auto kMoreAndMore = [](std::uint64_t n) { return n + 1 + n / 8; };

std::uint64_t served(std::uint64_t first, Lasts lasts, std::uint32_t instances) {
  StarvedShop shop(small_batches(instances));
  std::uint64_t refused = 0;
  {
    const HeapShortage shortage(first, lasts);
    serve(shop);
    refused = shortage.refused();
  }
  is_served_again(shop);
  return refused;
}

TEST_CASE("no_memory: with none refused everything ends as it should") {
  StarvedShop shop(small_batches(1));
  serve(shop);
  CHECK(shop.ends == std::array<int, 8>{0, 0, 0, 13, 2, 1, 1, 0});
  is_served_again(shop);
}

TEST_CASE("no_memory: one refusal, wherever: who is hit is told, the next is served") {
  for (const std::uint32_t instances : {1U, 2U}) {
    for_each_call(
        Lasts::once, [=](auto first, auto lasts) { return served(first, lasts, instances); },
        kEach);
  }
}

TEST_CASE("no_memory: none left, from wherever: all are told, and served when there is some") {
  for (const std::uint32_t instances : {1U, 2U}) {
    for_each_call(
        Lasts::on, [=](auto first, auto lasts) { return served(first, lasts, instances); }, kEach);
  }
}

TEST_CASE("no_memory: none for the dimensions of a request: it was never taken") {
  const TensorSpec many = spec_of("x", DType::float32, {-1, -1, -1, -1, -1, -1, -1, -1});
  float value = 3;
  const TensorView view{DType::float32, shape_of({1, 1, 1, 1, 1, 1, 1, 1}),
                        reinterpret_cast<std::byte*>(&value)};
  const auto round = [&](std::uint64_t first, Lasts lasts) {
    Rig rig(signature_of({many}, {many}), small_batches(1));
    const auto admit = [&] { return rig.engine().admit({&view, 1}, {}, IfFull::fail); };
    const HeapShortage shortage(first, lasts);
    EngineRequest* request = nullptr;
    try {
      request = exposed(admit);
    } catch (const std::bad_alloc&) {
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::queue_full);
    }
    const std::uint64_t refused = shortage.refused();
    if (request == nullptr) {
      CHECK(refused != 0);
      CHECK(rig.stats().queued_bytes == 0);
      CHECK(rig.stats().in_flight == 0);
      CHECK(rig.stats().pool.blocks_in_use == 0);
      request = admit();  // spared again
    }
    CHECK(request->index == 0);  // the first record, whether it was taken before or not
    rig.engine().start(request);
    CHECK(rig.wait(request).values == answer_to({3}));
    return refused;
  };
  for (const Lasts lasts : {Lasts::once, Lasts::on}) {
    std::uint64_t first = 1;
    while (round(first, lasts) != 0) ++first;
    CHECK(first > 2);
  }
}

TEST_CASE("no_memory: closed meanwhile, with a run that fails, each ends once") {
  for (const Lasts lasts : {Lasts::once, Lasts::on}) {
    const auto round = [](std::uint64_t first, Lasts how_long) {
      StarvedShop shop(small_batches(1));
      const HeapShortage shortage(first, how_long);
      shop.occupy({.first = kBad});
      shop.submit({.rows = 9, .first = 10});
      shop.submit({.first = 20, .width = 2});
      EngineRequest* blocking = shop.start({.first = 30});
      exposed([&] { shop.engine().answer_queued(); });
      exposed([&] { shop.engine().stop_runs(); });
      shop.open_gate();
      shop.await(blocking);
      shop.close();
      shop.settle_all();
      shop.check_ledger();
      if (shortage.refused() == 0) CHECK(shop.ends == std::array<int, 8>{0, 0, 0, 0, 1, 0, 0, 3});
      return shortage.refused();
    };
    for_each_call(lasts, round, kEach);
  }
}

// True: it opened, and serves.
bool opens(const EngineOptions& options) {
  StarvedModel model;
  std::unique_ptr<Backend> backend = model.backend();
  const FakeClock clock;  // its time stands still: a warm-up is the same every time
  std::shared_ptr<Engine> engine;
  try {
    engine = exposed([&] { return Engine::open(std::move(backend), options, 0, clock); });
  } catch (const std::bad_alloc&) {
    return false;
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::out_of_memory);
    return false;
  }
  engine->close(false, kNever);
  Rig::check_ledger(*engine);
  return true;
}

TEST_CASE("no_memory: a session that finds none while it opens leaves nothing behind") {
  for (const bool warmup : {false, true}) {
    for (const Lasts lasts : {Lasts::once, Lasts::on}) {
      const auto round = [warmup](std::uint64_t first, Lasts how_long) -> std::uint64_t {
        EngineOptions options = small_batches(2);
        options.warmup = warmup;
        const HeapShortage shortage(first, how_long);
        const bool opened = opens(options);
        const std::uint64_t refused = shortage.refused();
        CHECK((opened || refused != 0));
        return refused;
      };
      if (warmup) {
        for_each_call(lasts, round, kMoreAndMore);
      } else {
        for_each_call(lasts, round, kEach);
      }
    }
  }
}

}  // namespace
