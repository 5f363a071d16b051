// Runs that fail: who hears of it, and who does not.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/failpoint.h"
#include "engine/engine.h"
#include "support/engine_rig.h"
#include "support/function_backend.h"
#include "support/thrown.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using State = RequestState;

// Any run that holds one of these rows fails.
void poison(ScriptedBackend& backend, const std::vector<double>& bad) {
  backend.fail_when([bad](const SeenRun& run) -> std::optional<Error> {
    for (const double value : run.first) {
      if (std::find(bad.begin(), bad.end(), value) != bad.end()) {
        return Error(ErrorCode::backend, text("no ", value), 2);
      }
    }
    return std::nullopt;
  });
}

TEST_CASE("engine: one bad request of eight fails alone, within a handful of runs") {
  Rig rig;
  for (int bad = 1; bad <= 8; ++bad) {
    const std::size_t before = rig.backend().seen().size();
    poison(rig.backend(), {static_cast<double>(bad)});
    rig.occupy(100);
    for (int i = 1; i <= 8; ++i) rig.submit({static_cast<float>(i)});
    rig.backend().open_gate();
    int failed = 0;
    for (int i = 0; i < 9; ++i) {
      const Outcome outcome = rig.next();
      if (outcome.state == State::done) {
        CHECK(outcome.values != answer_to({static_cast<float>(bad)}));
        continue;
      }
      ++failed;
      REQUIRE(outcome.state == State::failed);
      CHECK(outcome.error->code() == ErrorCode::backend);
      CHECK(outcome.error->backend_code() == 2);
      CHECK(outcome.error->message() == text("no ", bad));
    }
    CHECK(failed == 1);
    // The blocker and the batch; then at most two halves for each time eight can be halved.
    CHECK(rig.backend().seen().size() - before <= 2 + 2 * 3);
  }
  CHECK(rig.stats().failed == 8);
  CHECK(rig.stats().answered == 8 * 8);
  CHECK(rig.stats().retried_batches == 8 * 2);  // eight, then four, then each alone
  CHECK(rig.stats().sink_wakes <= 8 * (2 + 2 * 3));
}

TEST_CASE("engine: blocked callers among whom one is bad") {
  Rig rig;
  poison(rig.backend(), {3});
  rig.occupy(100);
  std::vector<EngineRequest*> callers;
  for (int i = 1; i <= 6; ++i) callers.push_back(rig.start({static_cast<float>(i)}));
  rig.backend().open_gate();
  for (int i = 1; i <= 6; ++i) {
    const Outcome outcome = rig.wait(callers[static_cast<std::size_t>(i - 1)]);
    CHECK(outcome.state == (i == 3 ? State::failed : State::done));
    if (i != 3) CHECK(outcome.values == answer_to({static_cast<float>(i)}));
  }
}

TEST_CASE("engine: all bad, each told for itself") {
  Rig rig;
  poison(rig.backend(), {1, 2, 3, 4, 5, 6, 7, 8});
  rig.occupy(100);
  for (int i = 1; i <= 8; ++i) rig.submit({static_cast<float>(i)});
  rig.backend().open_gate();
  std::vector<std::string> texts;
  CHECK(rig.next().state == State::done);
  for (int i = 1; i <= 8; ++i) texts.push_back(rig.next().error->message());
  std::sort(texts.begin(), texts.end());
  for (int i = 1; i <= 8; ++i) CHECK(texts[static_cast<std::size_t>(i - 1)] == text("no ", i));
}

// Runs of one batch of `count`, those of the `bad` ones failing, beyond the batch itself.
std::size_t extra_runs(Rig& rig, int count, const std::vector<double>& bad) {
  poison(rig.backend(), bad);
  rig.occupy(100);
  for (int i = 1; i <= count; ++i) rig.submit({static_cast<float>(i)});
  const std::size_t before = rig.backend().seen().size();
  rig.backend().open_gate();
  std::size_t failed = 0;
  for (int i = 0; i <= count; ++i) failed += rig.next().state == State::failed ? 1 : 0;
  CHECK(failed == bad.size());
  return rig.backend().seen().size() - before - 1;
}

// docs/adr/0010
double most_extra_runs(int count, std::size_t bad) {
  const auto halvings = static_cast<double>(std::bit_width(static_cast<unsigned>(count - 1)));
  return std::min(2 * halvings * static_cast<double>(bad), 1.6 * count);
}

TEST_CASE("engine: whoever is bad, the runs beyond the first keep to the bound") {
  Rig rig;
  for (int count = 2; count <= 8; ++count) {
    for (unsigned which = 1; which < 1U << count; ++which) {
      std::vector<double> bad;
      for (int i = 0; i < count; ++i) {
        if ((which >> i & 1) != 0) bad.push_back(i + 1);
      }
      CAPTURE(count);
      CAPTURE(which);
      CHECK(static_cast<double>(extra_runs(rig, count, bad)) <= most_extra_runs(count, bad.size()));
    }
  }
}

TEST_CASE("engine: a large batch keeps to the bound too, one bad request or all") {
  Rig rig;
  std::mt19937 dice(20261122);
  for (const int count : {9, 13, 28, 50, 63, 64}) {
    std::vector<double> everybody(static_cast<std::size_t>(count));
    std::iota(everybody.begin(), everybody.end(), 1);
    for (const std::size_t bad : {1, 1, 1, 2, 2, 3, 8, 64}) {
      std::shuffle(everybody.begin(), everybody.end(), dice);
      const auto some = std::min(everybody.size(), bad);
      const std::vector<double> these(everybody.begin(),
                                      everybody.begin() + static_cast<std::ptrdiff_t>(some));
      CAPTURE(count);
      CAPTURE(some);
      CHECK(static_cast<double>(extra_runs(rig, count, these)) <= most_extra_runs(count, some));
    }
  }
}

// Any run of more than `most` rows finds no memory.
void limit_memory(ScriptedBackend& backend, std::int64_t most) {
  backend.fail_when([most](const SeenRun& run) -> std::optional<Error> {
    if (run.rows <= most) return std::nullopt;
    return Error(ErrorCode::out_of_memory, "no memory", 6);
  });
}

// Sizes of the runs of `count` requests that came while the instance was busy.
std::vector<std::int64_t> run_sizes(Rig& rig, int count) {
  rig.occupy(100);
  for (int i = 1; i <= count; ++i) rig.submit({static_cast<float>(i)});
  const std::size_t before = rig.backend().seen().size();
  rig.backend().open_gate();
  for (int i = 0; i <= count; ++i) CHECK(rig.next().state == State::done);
  std::vector<std::int64_t> sizes;
  for (const SeenRun& run : rig.backend().seen()) sizes.push_back(run.rows);
  return {sizes.begin() + static_cast<std::ptrdiff_t>(before), sizes.end()};
}

TEST_CASE("engine: no memory for a batch: halves, remembered for a while") {
  FakeClock clock;
  Rig rig(bare_options(), clock);
  limit_memory(rig.backend(), 20);
  CHECK(run_sizes(rig, 32) == std::vector<std::int64_t>{32, 16, 16});
  CHECK(run_sizes(rig, 32) == std::vector<std::int64_t>{16, 16});
  limit_memory(rig.backend(), 9);  // it becomes worse
  CHECK(run_sizes(rig, 16) == std::vector<std::int64_t>{16, 8, 8});
  CHECK(run_sizes(rig, 16) == std::vector<std::int64_t>{8, 8});
  CHECK(run_sizes(rig, 63).size() == 8);  // still, whatever failed beside each other
  limit_memory(rig.backend(), 64);
  CHECK(run_sizes(rig, 16) == std::vector<std::int64_t>{8, 8});
  clock.advance(61 * kSecond);
  CHECK(run_sizes(rig, 16) == std::vector<std::int64_t>{16});
}

TEST_CASE("engine: several that find no memory at once cost no more than one") {
  Rig rig;
  limit_memory(rig.backend(), 9);
  CHECK(run_sizes(rig, 64) ==
        std::vector<std::int64_t>{64, 32, 32, 16, 16, 16, 16, 8, 8, 8, 8, 8, 8, 8, 8});
  CHECK(run_sizes(rig, 16) == std::vector<std::int64_t>{8, 8});
}

TEST_CASE("engine: who is too large alone makes nobody else's batches small") {
  Rig rig;
  limit_memory(rig.backend(), 20);
  CHECK(rig.run(std::vector<float>(30, 1)).state == State::failed);
  CHECK(run_sizes(rig, 16) == std::vector<std::int64_t>{16});
}

TEST_CASE("engine: no memory for one request: its own error, others go on") {
  Rig rig;
  limit_memory(rig.backend(), 2);
  const Outcome outcome = rig.run({1, 2, 3});
  REQUIRE(outcome.state == State::failed);
  CHECK(outcome.error->code() == ErrorCode::out_of_memory);
  CHECK(outcome.error->backend_code() == 6);
  CHECK(rig.run({4, 5}).values == answer_to({4, 5}));
}

TEST_CASE("engine: a passing failure hurts nobody who had a mate, and the next run is fine") {
  Rig rig;
  rig.occupy(100);
  rig.submit({1});
  rig.submit({2});
  rig.backend().let_pass(1);
  CHECK(rig.next().state == State::done);
  rig.backend().fail_next(Error(ErrorCode::backend, "out of memory", 6));
  rig.backend().open_gate();
  CHECK(rig.next().state == State::done);
  CHECK(rig.next().state == State::done);
  rig.backend().fail_next(Error(ErrorCode::backend, "out of memory", 6));
  CHECK(rig.run({3}).state == State::failed);
  CHECK(rig.run({4}).values == answer_to({4}));
}

TEST_CASE("engine: a lone caller's failure is its own, with the backend's code") {
  Rig rig;
  poison(rig.backend(), {13});
  const Outcome outcome = rig.run({13});
  REQUIRE(outcome.state == State::failed);
  CHECK(outcome.error->message() == "no 13");
  CHECK(rig.stats().failed == 1);
  CHECK(rig.stats().batches == 0);
  CHECK(rig.run({12}).state == State::done);
}

TEST_CASE("engine: exceptions that are not ours become a BackendError") {
  auto model = std::make_unique<FunctionBackend>(
      row_wise_signature(1), [](auto, auto) { throw std::runtime_error("not one of ours"); });
  const auto engine = Engine::open(std::move(model), bare_options());
  Values<float> x(DType::float32, {1, 1}, {1});
  const TensorView view = x.view();
  EngineRequest* request = engine->admit({&view, 1}, {}, IfFull::fail);
  engine->start(request);
  REQUIRE(engine->await(request, kNever));
  const Outcome outcome = collect(*engine, request);
  REQUIRE(outcome.state == State::failed);
  CHECK(outcome.error->code() == ErrorCode::backend);
  CHECK(outcome.error->message() == "not one of ours");
  Rig::check_ledger(*engine);
}

TEST_CASE("engine: a failure between gathering and running gives every buffer back") {
  Rig rig;
  rig.occupy(100);
  for (int i = 0; i < 4; ++i) rig.submit({static_cast<float>(i)});
  const failpoint::Scoped fails("executor.run",
                                failpoint::throw_error(ErrorCode::backend, "planned"));
  rig.backend().open_gate();
  CHECK(rig.next().state == State::done);
  for (int i = 0; i < 4; ++i) {
    const Outcome outcome = rig.next();
    CHECK(outcome.state == State::failed);
    CHECK(outcome.error->message() == "planned");
  }
  CHECK(rig.backend().seen().size() == 1);
  CHECK(rig.stats().pool.blocks_in_use == 0);
}

TEST_CASE("engine: a model that breaks its word about rows is an error, never a wrong slice") {
  // Three rows whatever was asked for.
  auto model = std::make_unique<FunctionBackend>(
      row_wise_signature(1), [](std::span<const TensorView>, std::span<OutputSlot> outputs) {
        place(outputs[0], shape_of({3, 1}));
        std::fill_n(reinterpret_cast<float*>(outputs[0].view.data), 3, 42.0F);
      });
  const auto engine = Engine::open(std::move(model), bare_options());
  Values<float> x(DType::float32, {2, 1}, {1, 2});
  const TensorView view = x.view();
  EngineRequest* request = engine->admit({&view, 1}, {}, IfFull::fail);
  engine->start(request);
  REQUIRE(engine->await(request, kNever));
  const Outcome outcome = collect(*engine, request);
  REQUIRE(outcome.state == State::failed);
  CHECK(outcome.error->code() == ErrorCode::backend);
  CHECK(says(outcome.error->message(), "'y'", "[3, 1]", "2 rows"));
  Rig::check_ledger(*engine);
}

TEST_CASE("engine: one that only does so for batches is served alone in the end") {
  // One row whatever was asked for: right for a single row.
  auto model = std::make_unique<FunctionBackend>(
      row_wise_signature(1), [](std::span<const TensorView> inputs, std::span<OutputSlot> outputs) {
        place(outputs[0], shape_of({1, 1}));
        *reinterpret_cast<float*>(outputs[0].view.data) =
            2 * *reinterpret_cast<const float*>(inputs[0].data) + 1;
      });
  const auto engine = Engine::open(std::move(model), bare_options());
  Mailbox box;
  Call call;
  call.sink = &box;
  for (int i = 0; i < 200; ++i) {
    Values<float> x(DType::float32, {1, 1}, {static_cast<float>(i)});
    const TensorView view = x.view();
    engine->submit(engine->admit({&view, 1}, call, IfFull::fail));
  }
  float sum = 0;
  for (int i = 0; i < 200; ++i) {
    const Outcome outcome = collect(*engine, box.take());
    REQUIRE(outcome.state == State::done);
    sum += outcome.values.at(0);
  }
  CHECK(sum == 200.0F * 199.0F + 200.0F);
  engine->close(true, kNever);
  Rig::check_ledger(*engine);
}

TEST_CASE("engine: threads that the system refuses are an error, not an end of the process") {
  for (const std::uint64_t started : {0U, 1U, 3U}) {
    failpoint::Plan plan;
    plan.skip = started;
    plan.action = [] { throw Error(ErrorCode::system_limit, "no thread", EAGAIN); };
    const failpoint::Scoped refuses("engine.start_thread", std::move(plan));
    EngineOptions options = bare_options();
    options.instances = 3;
    const auto error = thrown([&] {
      static_cast<void>(
          Engine::open(std::make_unique<ScriptedBackend>(row_wise_signature(1), 3), options));
    });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::system_limit);
    CHECK(error->backend_code() == EAGAIN);
    CHECK(says(error->message(), "thread"));
  }
}

}  // namespace
