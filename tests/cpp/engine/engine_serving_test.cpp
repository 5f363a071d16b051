// Requests that go well: who runs them, what travels together, who is woken.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "support/engine_rig.h"
#include "support/function_backend.h"
#include "support/thrown.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using State = RequestState;

TEST_CASE("engine: a lone caller gets its answer on its own thread, and no runner is woken") {
  constexpr std::uint64_t kCalls = 200;
  const FakeClock clock;
  Rig rig(bare_options(), clock);
  std::uint64_t on_my_thread = 0;
  const auto me = std::this_thread::get_id();
  rig.backend().on_run([&](const SeenRun&) { on_my_thread += std::this_thread::get_id() == me; });
  for (std::uint64_t i = 0; i < kCalls; ++i) {
    const auto value = static_cast<float>(i);
    const Outcome outcome = rig.run({value});
    REQUIRE(outcome.state == State::done);
    REQUIRE(outcome.values == answer_to({value}));
  }
  const EngineStats stats = rig.stats();
  CHECK(stats.runner_wakes == 0);
  CHECK(stats.keeper_wakes <= 1);  // one alarm serves all runs of the next 50 ms
  CHECK(stats.batches == kCalls);
  CHECK(stats.lent_runs == on_my_thread);
  // The runner, which looks around once when it starts, may have found one or the other.
  CHECK(stats.lent_runs >= kCalls - 50);
  CHECK(stats.caller_wakes <= kCalls - stats.lent_runs);
}

TEST_CASE("engine: what comes while the instance is busy is one batch, answered row by row") {
  Rig rig;
  rig.occupy();
  for (int i = 1; i <= 8; ++i) {
    const auto value = static_cast<float>(i);
    rig.submit(i % 2 == 0 ? std::vector<float>{value} : std::vector<float>{value, value + 100});
  }
  rig.backend().open_gate();
  CHECK(rig.next().values == answer_to({0}));
  for (int i = 1; i <= 8; ++i) {
    const auto value = static_cast<float>(i);
    const Outcome outcome = rig.next();
    CHECK(outcome.state == State::done);
    CHECK(outcome.values == answer_to(i % 2 == 0 ? std::vector<float>{value}
                                                 : std::vector<float>{value, value + 100}));
  }
  const auto seen = rig.backend().seen();
  REQUIRE(seen.size() == 2);
  CHECK(seen[1].rows == 12);
  const EngineStats stats = rig.stats();
  CHECK(stats.batches == 2);
  CHECK(stats.rows == 13);
  CHECK(stats.batch_sizes.at(1) == 1);
  CHECK(stats.batch_sizes.at(12) == 1);
}

TEST_CASE("engine: blocked callers are one batch too, run by the runner that is there or by one") {
  Rig rig;
  rig.occupy();
  std::vector<EngineRequest*> callers;
  for (int i = 1; i <= 5; ++i) callers.push_back(rig.start({static_cast<float>(i)}));
  rig.backend().open_gate();
  for (int i = 1; i <= 5; ++i) {
    const Outcome outcome = rig.wait(callers[static_cast<std::size_t>(i - 1)]);
    CHECK(outcome.values == answer_to({static_cast<float>(i)}));
  }
  CHECK(rig.backend().seen().size() == 2);
}

TEST_CASE("engine: many threads at once, each gets its own answer") {
  EngineOptions options = bare_options();
  options.instances = 2;
  Rig rig(options);
  constexpr int kThreads = 8;
  constexpr int kEach = 300;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const auto value = static_cast<float>(t * kEach + i);
        const std::vector<float> rows(static_cast<std::size_t>(i % 3 + 1), value);
        if (rig.run(rows).values != answer_to(rows)) wrong.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  const EngineStats stats = rig.stats();
  CHECK(stats.answered == kThreads * kEach);
  CHECK(rig.backend().most_at_once() <= 2);
  // A sleeper costs at most one wake, a batch at most one runner.
  CHECK(stats.caller_wakes <= stats.answered + stats.batches);
  CHECK(stats.runner_wakes <= stats.batches);
  CHECK(stats.sink_wakes == 0);
  // Only for a ring that found every instance busy and its holder out of rounds.
  CHECK(stats.keeper_wakes <= stats.batches);
}

TEST_CASE("engine: every instance works when there is work for it") {
  EngineOptions options = bare_options();
  options.instances = 3;
  options.max_batch_rows = 1;
  Rig rig(options);
  rig.backend().shut_gate();
  for (int i = 0; i < 5; ++i) rig.submit({static_cast<float>(i)});
  rig.backend().wait_until_begun(3);
  std::set<std::uint32_t> instances;
  for (const SeenRun& run : rig.backend().seen()) instances.insert(run.instance);
  CHECK(instances == std::set<std::uint32_t>{0, 1, 2});
  CHECK(rig.backend().most_at_once() == 3);
  int alone = 0;
  for (const SeenRun& run : rig.backend().seen()) alone += run.alone ? 1 : 0;
  CHECK(alone == 1);  // the first to be claimed
  rig.backend().open_gate();
  for (int i = 0; i < 5; ++i) CHECK(rig.next().state == State::done);
  CHECK(rig.backend().most_at_once() == 3);
}

TEST_CASE("engine: wakes are counted by batches, not by requests") {
  Rig rig;
  constexpr int kRounds = 20;
  constexpr int kRequests = 50;
  for (int round = 0; round < kRounds; ++round) {
    rig.occupy();
    for (int i = 0; i < kRequests; ++i) rig.submit({static_cast<float>(i)});
    rig.backend().open_gate();
    for (int i = 0; i < kRequests + 1; ++i) REQUIRE(rig.next().state == State::done);
  }
  const EngineStats stats = rig.stats();
  CHECK(stats.answered == kRounds * (kRequests + 1));
  CHECK(stats.batches == 2 * kRounds);
  CHECK(stats.runner_wakes <= stats.batches);
  CHECK(stats.sink_wakes <= stats.batches);
  CHECK(stats.keeper_wakes == 0);
  CHECK(stats.caller_wakes == 0);
}

// --- event loops --------------------------------------------------------------------------------

TEST_CASE("engine: a loop's flush runs what is cheap on the loop's thread, without a wake") {
  FakeClock clock;
  EngineOptions options = bare_options();
  options.warmup = true;
  Rig rig(options, clock);  // no time passes in a run: cheap
  std::vector<std::thread::id> ran_on;
  rig.backend().on_run([&](const SeenRun&) { ran_on.push_back(std::this_thread::get_id()); });
  CHECK(rig.engine().runs_within(100 * kMicrosecond, 1));
  CHECK(rig.engine().runs_within(100 * kMicrosecond, 0));
  for (int round = 0; round < 100 && rig.stats().inline_runs == 0; ++round) {
    Call call;
    call.sink = &rig.box;
    for (const float value : {1.0F, 2.0F, 3.0F}) rig.engine().enqueue(rig.admit({value}, call));
    rig.engine().flush(&rig.box, kSecond);
    // All there when it returns, unless the runner was just looking around and took them.
    for (const float value : {1.0F, 2.0F, 3.0F}) CHECK(rig.next().values == answer_to({value}));
  }
  CHECK(rig.stats().inline_runs >= 1);
  CHECK(std::count(ran_on.begin(), ran_on.end(), std::this_thread::get_id()) ==
        static_cast<std::ptrdiff_t>(rig.stats().inline_runs));
  CHECK(rig.stats().sink_wakes + rig.stats().inline_runs <= rig.stats().batches);
}

TEST_CASE("engine: a flush without a budget, or of an unmeasured model, leaves it to a runner") {
  for (const bool measured : {false, true}) {
    EngineOptions options = bare_options();
    options.warmup = measured;
    Rig rig(options);
    if (!measured) CHECK_FALSE(rig.engine().runs_within(100 * kMicrosecond, 1));
    Call call;
    call.sink = &rig.box;
    rig.engine().enqueue(rig.admit({1}, call));
    rig.engine().flush(&rig.box, measured ? 0 : kSecond);
    CHECK(rig.next().values == answer_to({1}));
    CHECK(rig.stats().inline_runs == 0);
  }
}

// --- sizes and shapes ---------------------------------------------------------------------------

TEST_CASE("engine: a request without rows is answered without rows, alone or among others") {
  for (const bool warmup :
       {false, true}) {  // with it, outputs are bound to shapes known beforehand
    EngineOptions options = bare_options();
    options.warmup = warmup;
    Rig rig(options);
    const Outcome alone = rig.run({});
    CHECK(alone.state == State::done);
    CHECK(alone.values.empty());
    rig.occupy();
    rig.submit({5});
    rig.submit({});
    rig.submit({6});
    rig.backend().open_gate();
    CHECK(rig.next().values == answer_to({0}));
    CHECK(rig.next().values == answer_to({5}));
    const Outcome none = rig.next();
    CHECK(none.state == State::done);
    CHECK(none.values.empty());
    CHECK(rig.next().values == answer_to({6}));
  }
}

TEST_CASE("engine: other inner shapes neither join nor cut a batch") {
  Signature signature = signature_of({spec_of("x", DType::float32, {-1, -1})},
                                     {spec_of("y", DType::float32, {-1, -1})});
  Rig rig(signature, bare_options());
  Call call;
  call.sink = &rig.box;
  const auto submit = [&](std::int64_t width, float first) {
    Values<float> x(DType::float32, {1, width},
                    std::vector<float>(static_cast<std::size_t>(width), first));
    const TensorView view = x.view();
    rig.engine().submit(rig.engine().admit({&view, 1}, call, IfFull::fail));
  };
  rig.backend().shut_gate();
  submit(1, 0);
  rig.backend().wait_until_begun(1);
  for (int i = 1; i <= 4; ++i) {
    submit(2, static_cast<float>(i));
    submit(3, static_cast<float>(10 + i));
  }
  rig.backend().open_gate();
  for (int i = 0; i < 9; ++i) {
    const Outcome outcome = rig.next();
    CHECK(outcome.state == State::done);
    const float first = (outcome.values.at(0) - 1) / 2;
    CHECK(outcome.values.size() == (first == 0 ? 1U : first > 10 ? 3U : 2U));
  }
  const auto seen = rig.backend().seen();
  REQUIRE(seen.size() == 3);
  CHECK(seen[1].first == std::vector<double>{1, 2, 3, 4});
  CHECK(seen[2].first == std::vector<double>{11, 12, 13, 14});
}

TEST_CASE("engine: priority decides who goes first when not all fit") {
  EngineOptions options = bare_options();
  options.max_batch_rows = 2;
  Rig rig(options);
  rig.occupy();
  for (int i = 1; i <= 4; ++i) {
    Call call;
    call.priority = i;
    rig.submit({static_cast<float>(i)}, call);
  }
  rig.backend().open_gate();
  for (int i = 0; i < 5; ++i) CHECK(rig.next().state == State::done);
  const auto seen = rig.backend().seen();
  REQUIRE(seen.size() == 3);
  CHECK(seen[1].first == std::vector<double>{4, 3});
  CHECK(seen[2].first == std::vector<double>{2, 1});
}

TEST_CASE("engine: a delay lets a batch form on an idle instance, and the keeper ends it") {
  FakeClock clock;
  EngineOptions options = bare_options();
  options.max_delay_ns = kMillisecond;
  Rig rig(options, clock);
  for (const float value : {1.0F, 2.0F, 3.0F}) rig.submit({value});
  CHECK(rig.backend().seen().empty());
  clock.advance(kMillisecond);
  for (const float value : {1.0F, 2.0F, 3.0F}) CHECK(rig.next().values == answer_to({value}));
  // A runner that has just started may look around with the last of them still in the inbox.
  CHECK(rig.backend().seen().size() <= 2);
  CHECK(rig.stats().keeper_wakes <= 2);
}

TEST_CASE("engine: results outlive the engine, and their memory goes with the last of them") {
  ResultRef kept;
  {
    Rig rig;
    EngineRequest* request = rig.start({3});
    REQUIRE(rig.engine().await(request, kNever));
    kept = request->result;
    rig.engine().release(request);
    CHECK(rig.stats().pool.blocks_in_use == 1);
    rig.engine().close(true, kNever);
    CHECK(read<float>(kept->outputs()[0].view) == answer_to({3}));
    CHECK(rig.stats().pool.blocks_in_use == 1);
    kept = {};
  }
}

TEST_CASE("engine: options out of range are refused by name") {
  const auto refused = [](auto change) {
    EngineOptions options = bare_options();
    change(options);
    const auto error = thrown([&] {
      static_cast<void>(
          Engine::open(std::make_unique<ScriptedBackend>(row_wise_signature(1)), options));
    });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::invalid_input);
    return error->message();
  };
  CHECK(says(refused([](EngineOptions& o) { o.max_pending = 0; }), "max_pending", "0", "1 to"));
  CHECK(says(refused([](EngineOptions& o) { o.max_pending = 1U << 20; }), "max_pending"));
  CHECK(says(refused([](EngineOptions& o) { o.max_pending_bytes = 0; }), "max_pending_bytes"));
  CHECK(
      says(refused([](EngineOptions& o) { o.max_batch_rows = (1U << 20) + 1; }), "max_batch_size"));
  CHECK(says(refused([](EngineOptions& o) { o.instances = kMaxInstances + 1; }), "instances"));
  CHECK(says(refused([](EngineOptions& o) { o.max_delay_ns = -1; }), "max_delay", "-1", "0 to"));
}

TEST_CASE("engine: the largest number of instances is served") {
  EngineOptions options = bare_options();
  options.instances = kMaxInstances;
  options.max_batch_rows = 1;
  Rig rig(options);
  rig.backend().shut_gate();
  for (std::uint32_t i = 0; i < kMaxInstances; ++i) rig.submit({static_cast<float>(i)});
  rig.backend().wait_until_begun(kMaxInstances);
  CHECK(rig.backend().most_at_once() == kMaxInstances);
  rig.backend().open_gate();
  for (std::uint32_t i = 0; i < kMaxInstances; ++i) CHECK(rig.next().state == State::done);
}

}  // namespace
