// Requests of more rows than one batch takes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "support/engine_rig.h"
#include "support/thrown.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using State = RequestState;

EngineOptions at_most(std::uint32_t rows) {
  EngineOptions options = bare_options();
  options.max_batch_rows = rows;
  return options;
}

std::vector<float> many(int rows, float first = 1) {
  std::vector<float> values(static_cast<std::size_t>(rows));
  std::iota(values.begin(), values.end(), first);
  return values;
}

std::vector<std::int64_t> sizes(const ScriptedBackend& backend) {
  std::vector<std::int64_t> sizes;
  for (const SeenRun& run : backend.seen()) sizes.push_back(run.rows);
  return sizes;
}

TEST_CASE("parts: nearly equal, in order, one answer") {
  for (const int rows : {5, 8, 9, 10, 63, 64, 65, 1'000}) {
    CAPTURE(rows);
    Rig rig(at_most(4));
    const Outcome outcome = rig.run(many(rows));
    REQUIRE(outcome.state == State::done);
    CHECK(outcome.values == answer_to(many(rows)));
    const std::vector<std::int64_t> ran = sizes(rig.backend());
    CHECK(ran.size() == static_cast<std::size_t>((rows + 3) / 4));
    const auto [least, most] = std::minmax_element(ran.begin(), ran.end());
    CHECK(*most - *least <= 1);
    CHECK(*most <= 4);
    const EngineStats stats = rig.stats();
    CHECK(stats.answered == 1);
    CHECK(stats.accepted == 1);
    CHECK(stats.rows == static_cast<std::uint64_t>(rows));
  }
}

TEST_CASE("parts: others run in between, and ride with the rest of them") {
  Rig rig(at_most(4));
  rig.occupy(100);
  rig.submit(many(8));
  rig.submit({20, 21, 22});
  rig.backend().open_gate();
  CHECK(rig.next().values == answer_to({100}));
  CHECK(rig.next().values == answer_to({20, 21, 22}));  // before the second half of the eight
  CHECK(rig.next().values == answer_to(many(8)));
  CHECK(sizes(rig.backend()) == std::vector<std::int64_t>{1, 4, 3, 4});

  rig.occupy(100);
  rig.submit(many(5));  // 3 and 2
  rig.submit({20});
  rig.submit({30, 31});
  rig.backend().open_gate();
  CHECK(rig.next().values == answer_to({100}));
  CHECK(rig.next().values == answer_to({20}));
  CHECK(rig.next().values == answer_to({30, 31}));
  CHECK(rig.next().values == answer_to(many(5)));
  CHECK(sizes(rig.backend()) == std::vector<std::int64_t>{1, 4, 3, 4, 1, 4, 4});
}

TEST_CASE("parts: others go first whatever their age and deadline") {
  FakeClock clock;
  Rig rig(at_most(4), clock);
  rig.backend().on_run([&](const SeenRun&) { clock.advance(2 * kSecond); });
  rig.occupy(100);
  Call call;
  call.deadline = rig.in(3'600 * kSecond);
  rig.submit(many(16), call);
  rig.backend().let_pass(1);
  CHECK(rig.next().values == answer_to({100}));
  rig.backend().wait_until_begun(2);  // the first part
  call.deadline += kSecond;
  rig.submit({20}, call);
  rig.backend().open_gate();
  CHECK(rig.next().values == answer_to({20}));
  CHECK(rig.next().values == answer_to(many(16)));
}

TEST_CASE("parts: with every kind of caller at once, on two instances") {
  EngineOptions options = at_most(4);
  options.instances = 2;
  Rig rig(options);
  std::vector<EngineRequest*> callers;
  for (int i = 0; i < 8; ++i) {
    rig.submit(many(11 + i));
    callers.push_back(rig.start(many(13 + i)));
  }
  for (int i = 0; i < 8; ++i) {
    const auto nth = static_cast<std::size_t>(i);
    CHECK(rig.wait(callers[nth]).values == answer_to(many(13 + i)));
  }
  std::size_t rows = 0;
  for (int i = 0; i < 8; ++i) {
    const Outcome outcome = rig.next();
    CHECK(outcome.values == answer_to(many(static_cast<int>(outcome.values.size()))));
    rows += outcome.values.size();
  }
  CHECK(rows == 8 * 11 + 28);
}

TEST_CASE("parts: one cancel, between runs or during one, and the rest never runs") {
  Rig rig(at_most(4));
  for (const std::uint32_t passed : {0U, 1U, 2U}) {
    CAPTURE(passed);
    const auto before = static_cast<std::uint32_t>(rig.backend().seen().size());
    rig.backend().shut_gate();
    EngineRequest* request = rig.submit(many(16));
    rig.backend().wait_until_begun(before + 1);
    rig.backend().let_pass(passed);
    rig.backend().wait_until_begun(before + passed + 1);
    REQUIRE(rig.engine().cancel(request, true));
    rig.engine().release(request);
    rig.backend().open_gate();
    CHECK(rig.run({5}).values == answer_to({5}));
    CHECK(rig.backend().seen().size() == before + passed + 2);
  }
  CHECK(rig.stats().cancelled == 3);
}

TEST_CASE("parts: cancelled between two of them, what they gave goes at once") {
  Rig rig(at_most(4));
  rig.backend().shut_gate();
  EngineRequest* request = rig.submit(many(8));
  rig.backend().wait_until_begun(1);
  for (int i = 0; i < 12; ++i) rig.submit({20});  // so many that to sweep for one does not pay
  rig.backend().let_pass(1);
  rig.backend().wait_until_begun(2);  // others'
  const std::uint64_t blocks = rig.stats().pool.blocks_in_use;
  REQUIRE(rig.engine().cancel(request, true));
  CHECK(rig.stats().pool.blocks_in_use == blocks - 2);  // its inputs, and half of its answer
  rig.engine().release(request);
  rig.backend().open_gate();
  for (int i = 0; i < 12; ++i) CHECK(rig.next().values == answer_to({20}));
  CHECK(rig.backend().seen().size() == 4);
}

TEST_CASE("parts: one deadline for all of them") {
  FakeClock clock;
  Rig rig(at_most(4), clock);
  rig.backend().on_run([&](const SeenRun&) { clock.advance(10 * kMillisecond); });
  Call call;
  call.deadline = rig.in(25 * kMillisecond);
  rig.submit(many(16), call);
  CHECK(rig.next().state == State::expired);
  CHECK(rig.run({5}).values == answer_to({5}));
  CHECK(rig.backend().seen().size() <= 3 + 1);
}

TEST_CASE("parts: a bad row fails its request once, whichever part it is in") {
  for (const int bad : {1, 6, 16}) {
    CAPTURE(bad);
    Rig rig(at_most(4));
    rig.backend().fail_when([bad](const SeenRun& run) -> std::optional<Error> {
      for (const double value : run.first) {
        if (value == bad) return Error(ErrorCode::backend, "bad row", 2);
      }
      return std::nullopt;
    });
    rig.occupy(100);
    rig.submit(many(16));
    rig.submit({20});
    rig.backend().open_gate();
    CHECK(rig.next().state == State::done);
    int failed = 0;
    for (int i = 0; i < 2; ++i) {
      const Outcome outcome = rig.next();
      failed += outcome.state == State::failed ? 1 : 0;
      if (outcome.state == State::done) CHECK(outcome.values == answer_to({20}));
    }
    CHECK(failed == 1);
  }
}

TEST_CASE("parts: no memory for one makes the next ones smaller") {
  Rig rig(at_most(8));
  rig.backend().fail_when([](const SeenRun& run) -> std::optional<Error> {
    if (run.rows <= 3) return std::nullopt;
    return Error(ErrorCode::out_of_memory, "no memory", 6);
  });
  CHECK(rig.run(many(24)).values == answer_to(many(24)));
  CHECK(sizes(rig.backend()) ==
        std::vector<std::int64_t>{8, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2});
}

TEST_CASE("parts: results that the backend allocates are joined too") {
  const Signature signature = signature_of({spec_of("x", DType::float32, {-1, -1})},
                                           {spec_of("y", DType::float32, {-1, -1})});
  Rig rig(signature, at_most(4));
  Values<float> x(DType::float32, {10, 2}, many(20));
  const TensorView view = x.view();
  EngineRequest* request = rig.engine().admit({&view, 1}, {}, IfFull::fail);
  rig.engine().start(request);
  REQUIRE(rig.engine().await(request, kNever));
  CHECK(collect(rig.engine(), request).values == answer_to(many(20)));
}

TEST_CASE("parts: close between two of them ends the request once") {
  Rig rig(at_most(4));
  rig.backend().shut_gate();
  rig.submit(many(16));
  rig.backend().wait_until_begun(1);
  rig.submit({20});
  std::thread closer([&] { rig.engine().close(false, kNever); });
  CHECK(rig.next().state == State::closed);  // who is queued: closing has begun
  rig.backend().open_gate();
  closer.join();
  CHECK(rig.next().state == State::closed);
  CHECK(rig.backend().seen().size() == 1);
}

TEST_CASE("parts: stopped in one, the others never run") {
  Rig rig(at_most(4));
  rig.backend().shut_gate();
  rig.submit(many(16));
  rig.backend().wait_until_begun(1);
  rig.engine().answer_queued();
  CHECK_FALSE(rig.engine().await_runs(rig.in(0)));
  rig.engine().stop_runs();
  CHECK(rig.engine().await_runs(kNever));
  const Outcome outcome = rig.next();
  REQUIRE(outcome.state == State::failed);
  CHECK(outcome.error->code() == ErrorCode::session_closed);
  CHECK(rig.backend().seen().size() == 1);
}

}  // namespace
