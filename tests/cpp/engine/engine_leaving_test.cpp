// Requests whose callers go before the answer comes: deadlines, cancelling, abandoning.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "engine/engine.h"
#include "support/engine_rig.h"
#include "support/function_backend.h"
#include "support/patience.h"
#include "support/thrown.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using State = RequestState;

void check_expired(const Outcome& outcome) {
  CHECK(outcome.state == State::expired);
  REQUIRE(outcome.error.has_value());
  CHECK(outcome.error->code() == ErrorCode::deadline_exceeded);
}

Call with_deadline(TimeNs at) {
  Call call;
  call.deadline = at;
  return call;
}

TEST_CASE("engine: a deadline that passes in the queue is told by the keeper; it never runs") {
  FakeClock clock;
  Rig rig(bare_options(), clock);
  rig.occupy(100);
  rig.submit({1}, with_deadline(rig.in(kMillisecond)));
  rig.submit({2}, with_deadline(rig.in(kSecond)));
  clock.advance(kMillisecond - 1);
  CHECK(rig.box.take_ready() == nullptr);
  clock.advance(1);
  check_expired(rig.next());  // while the only instance is still busy
  rig.backend().open_gate();
  CHECK(rig.next().values == answer_to({100}));
  CHECK(rig.next().values == answer_to({2}));
  const auto seen = rig.backend().seen();
  REQUIRE(seen.size() == 2);
  CHECK(seen[1].first == std::vector<double>{2});
  CHECK(rig.stats().expired == 1);
  CHECK(rig.stats().keeper_wakes <= 3);
}

TEST_CASE("engine: a deadline that passes in a run frees the caller; the run goes on") {
  FakeClock clock;
  Rig rig(bare_options(), clock);
  rig.backend().shut_gate();
  rig.submit({1}, with_deadline(rig.in(kMillisecond)));
  rig.submit({2});
  rig.backend().wait_until_begun(1);
  clock.advance(kMillisecond);
  check_expired(rig.next());
  EngineStats stats = rig.stats();
  CHECK(stats.expired == 1);
  CHECK(stats.pool.blocks_in_use > 0);  // the run still reads its inputs
  rig.backend().open_gate();
  CHECK(rig.next().values == answer_to({2}));
  rig.engine().close(true, kNever);
  stats = rig.stats();
  CHECK(stats.answered == 1);
  CHECK(stats.expired == 1);
  CHECK(stats.pool.blocks_in_use == 0);
  CHECK(rig.box.take_ready() == nullptr);
}

TEST_CASE("engine: a run whose callers have gone reads their inputs to its end") {
  FakeClock clock;
  std::atomic<std::uint32_t> begun{0};
  std::atomic<std::uint32_t> goes_on{0};
  std::atomic<std::uint32_t> changed{0};
  const auto model = [&](std::span<const TensorView> inputs, std::span<OutputSlot> outputs) {
    place(outputs[0], inputs[0].shape);
    const std::vector<float> before = read<float>(inputs[0]);
    step(begun);
    static_cast<void>(reaches(goes_on, 1));
    if (read<float>(inputs[0]) != before) ++changed;
    std::copy(before.begin(), before.end(), reinterpret_cast<float*>(outputs[0].view.data));
  };
  Signature signature = signature_of({spec_of("x", DType::float32, {-1, 1})},
                                     {spec_of("y", DType::float32, {-1, 1})});
  const auto engine = Engine::open(std::make_unique<FunctionBackend>(std::move(signature), model),
                                   bare_options(), 0, clock);
  Mailbox box;
  const auto submit = [&](float value, const Call& call) {
    Call mine = call;
    mine.sink = &box;
    const TensorView view{DType::float32, shape_of({1, 1}), reinterpret_cast<std::byte*>(&value)};
    engine->submit(engine->admit({&view, 1}, mine, IfFull::fail));
  };
  submit(1, with_deadline(clock.now() + kMillisecond));
  CHECK(reaches(begun, 1));
  clock.advance(kMillisecond);
  check_expired(collect(*engine, box.take()));
  // As many as could be given the block that the run reads, if anybody had given it back.
  for (int i = 0; i < 200; ++i) submit(2, {});
  step(goes_on);
  for (int i = 0; i < 200; ++i) CHECK(collect(*engine, box.take()).values == std::vector<float>{2});
  CHECK(changed == 0);
  engine->close(true, kNever);
  Rig::check_ledger(*engine);
}

TEST_CASE("engine: several deadlines pass in one run, each at its time") {
  FakeClock clock;
  Rig rig(bare_options(), clock);
  rig.occupy(100);
  for (const DurationNs left : {1, 3, 2}) {
    rig.submit({static_cast<float>(left)}, with_deadline(rig.in(left * kMillisecond)));
  }
  rig.backend().let_pass(1);
  CHECK(rig.next().values == answer_to({100}));
  rig.backend().wait_until_begun(2);
  for (int i = 1; i <= 3; ++i) {
    clock.advance(kMillisecond);
    EngineRequest* late = rig.box.take();
    REQUIRE(late != nullptr);
    CHECK(late->deadline == clock.now());
    check_expired(collect(rig.engine(), late));
  }
  CHECK(rig.stats().expired == 3);
}

TEST_CASE("engine: a blocked caller times itself, in the queue and in a run") {
  Rig rig;
  rig.backend().shut_gate();
  // Nothing is known of the model: with a deadline it runs on a runner, so that we can leave.
  EngineRequest* running = rig.start({1}, with_deadline(rig.in(20 * kMillisecond)));
  rig.backend().wait_until_begun(1);
  EngineRequest* queued = rig.start({2}, with_deadline(rig.in(20 * kMillisecond)));
  check_expired(rig.wait(queued));
  check_expired(rig.wait(running));
  CHECK(rig.stats().expired == 2);
  CHECK(rig.stats().pool.blocks_in_use > 0);
  CHECK(rig.stats().lent_runs == 0);
  rig.backend().open_gate();
  rig.engine().close(true, kNever);
  CHECK(rig.stats().answered == 0);
  CHECK(rig.stats().keeper_wakes == 0);
}

TEST_CASE("engine: a deadline that has passed already is not a reason to run") {
  Rig rig;
  const TimeNs past = rig.in(-1);
  check_expired(rig.run({1}, with_deadline(past)));
  rig.submit({2}, with_deadline(past));
  check_expired(rig.next());
  CHECK(rig.backend().seen().empty());
}

TEST_CASE("engine: an answer in time is an answer, whatever the clock says afterwards") {
  FakeClock clock;
  Rig rig(bare_options(), clock);
  EngineRequest* request = rig.submit({1}, with_deadline(rig.in(kMillisecond)));
  EngineRequest* answered = rig.box.take();
  REQUIRE(answered == request);
  clock.advance(kSecond);
  CHECK(collect(rig.engine(), answered).values == answer_to({1}));
  CHECK(rig.stats().expired == 0);
}

TEST_CASE("engine: a wait that ends before the answer is no end of the request") {
  Rig rig;
  rig.occupy(100);
  EngineRequest* request = rig.start({1});
  CHECK_FALSE(rig.engine().await(request, rig.in(kMillisecond)));
  CHECK_FALSE(rig.engine().await(request, rig.in(-1)));
  rig.backend().open_gate();
  CHECK(rig.wait(request).values == answer_to({1}));
}

TEST_CASE("engine: cancelled in the queue: never run, nothing delivered, its room free again") {
  EngineOptions options = bare_options();
  options.max_pending = 2;
  Rig rig(options);
  rig.occupy(100);
  EngineRequest* request = rig.submit({1});
  CHECK(rig.engine().cancel(request, false));
  CHECK(request->state() == State::cancelled);
  CHECK_FALSE(rig.engine().cancel(request, true));  // once
  rig.engine().release(request);
  rig.submit({2});  // fits only if the first one's room is back
  rig.backend().open_gate();
  CHECK(rig.next().values == answer_to({100}));
  CHECK(rig.next().values == answer_to({2}));
  CHECK(rig.backend().seen().size() == 2);
  CHECK(rig.stats().cancelled == 1);
}

TEST_CASE("engine: while it runs, only who insists can cancel") {
  Rig rig;
  rig.backend().shut_gate();
  EngineRequest* polite = rig.submit({1});
  EngineRequest* insisting = rig.submit({2});
  rig.backend().wait_until_begun(1);
  const bool together = rig.backend().seen()[0].rows == 2;
  CHECK_FALSE(rig.engine().cancel(polite, false));
  CHECK(rig.engine().cancel(insisting, true));
  if (together) CHECK(rig.stats().pool.blocks_in_use > 1);
  rig.engine().release(insisting);
  rig.backend().open_gate();
  CHECK(rig.next().values == answer_to({1}));
  rig.engine().close(true, kNever);
  CHECK(rig.box.take_ready() == nullptr);
  CHECK(rig.stats().cancelled == 1);
  CHECK(rig.stats().answered == 1);
}

TEST_CASE("engine: a delivered answer cannot be cancelled") {
  Rig rig;
  EngineRequest* request = rig.submit({1});
  REQUIRE(rig.box.take() == request);
  CHECK_FALSE(rig.engine().cancel(request, true));
  CHECK(collect(rig.engine(), request).state == State::done);
}

TEST_CASE("engine: a blocked caller may abandon its request wherever it is") {
  Rig rig;
  rig.occupy(100);
  rig.engine().abandon(rig.start({1}));  // queued
  CHECK(rig.stats().cancelled == 1);
  EngineRequest* running = rig.start({2});
  rig.backend().let_pass(1);
  CHECK(rig.next().state == State::done);
  rig.backend().wait_until_begun(2);
  rig.engine().abandon(running);
  CHECK(rig.stats().cancelled == 2);
  rig.backend().open_gate();
  EngineRequest* done = rig.start({3});
  REQUIRE(rig.engine().await(done, kNever));
  rig.engine().abandon(done);
  const EngineStats stats = rig.stats();
  CHECK(stats.cancelled == 2);
  CHECK(stats.answered == 2);
  CHECK(stats.undeliverable == 1);
}

TEST_CASE("engine: cancelled while its failed batch is split, it is out of the pieces") {
  Rig rig;
  rig.occupy(100);
  std::vector<EngineRequest*> requests;
  for (int i = 1; i <= 4; ++i) requests.push_back(rig.submit({static_cast<float>(i)}));
  rig.backend().let_pass(1);
  CHECK(rig.next().state == State::done);
  rig.backend().wait_until_begun(2);  // all four, at the gate
  rig.backend().fail_next(Error(ErrorCode::backend, "planned"), 1);
  rig.backend().let_pass(1);
  rig.backend().wait_until_begun(3);  // the first half, at the gate
  for (EngineRequest* request : requests) {
    CHECK(rig.engine().cancel(request, true));
    rig.engine().release(request);
  }
  rig.backend().open_gate();
  rig.engine().close(true, kNever);
  CHECK(rig.stats().cancelled == 4);
}

TEST_CASE("engine: what is cancelled while another thread has the token is buried all the same") {
  Rig rig;
  rig.occupy();
  const std::uint64_t each = rig.stats().queued_bytes;
  failpoint::Gate gate;
  std::thread holder;
  {
    const failpoint::Scoped taken_in("scheduler.taken_in", failpoint::block_at(gate));
    holder = std::thread([&] { rig.submit({1}); });
    gate.wait_for_visitors(1);
    // In the inbox, unseen by the holder, which will find its tombstone noted.
    Call call;
    call.sink = &rig.box;
    EngineRequest* request = rig.admit({2}, call);
    rig.engine().enqueue(request);
    CHECK(rig.engine().cancel(request, true));
    rig.engine().release(request);
    gate.open();
    holder.join();
  }
  CHECK(rig.stats().queued_bytes == 2 * each);  // {0} runs, {1} waits
  rig.backend().open_gate();
  CHECK(rig.next().values == answer_to({0}));
  CHECK(rig.next().values == answer_to({1}));
}

}  // namespace
