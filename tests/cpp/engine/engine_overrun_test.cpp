// Runs that keep a lent thread for longer than they should.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "engine/scheduler.h"
#include "support/engine_rig.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using State = RequestState;

// A caller whose thread is inside the model, at the gate, until it gets it back.
class Lender {
 public:
  Lender(Rig& rig, std::vector<float> rows, const Call& call = {}) : rig_(rig) {
    const auto begun = static_cast<std::uint32_t>(rig.backend().seen().size());
    request_ = rig.admit(std::move(rows), call);
    thread_ = std::thread([this] {
      rig_.engine().start(request_);
      back_.store(true);
      back_.notify_all();
      ended_ = rig_.engine().await(request_, kNever);
    });
    rig.backend().wait_until_begun(begun + 1);
  }
  ~Lender() {
    if (thread_.joinable()) thread_.join();
  }
  Lender(const Lender&) = delete;
  Lender& operator=(const Lender&) = delete;

  [[nodiscard]] bool is_back() const { return back_.load(); }
  void wait_until_back() { back_.wait(false); }
  [[nodiscard]] Outcome end() {
    thread_.join();
    REQUIRE(ended_);
    return collect(rig_.engine(), request_);
  }

 private:
  Rig& rig_;
  EngineRequest* request_ = nullptr;
  std::thread thread_;
  std::atomic<bool> back_{false};
  bool ended_ = false;
};

// Whoever holds the token looks at the clock.
void ring(Rig& rig) {
  EngineRequest* request = rig.submit({0});
  if (rig.engine().cancel(request, false)) rig.engine().release(request);
}

Call with_deadline(TimeNs at) {
  Call call;
  call.deadline = at;
  return call;
}

TEST_CASE("engine: a run that keeps its caller's thread too long is made again by a runner") {
  FakeClock clock;
  Rig rig(bare_options(), clock);
  rig.backend().let_single_runs_be_stopped();
  rig.backend().shut_gate();
  Lender lender(rig, {7, 8});
  clock.advance(kLentAtMost - 1);
  ring(rig);
  CHECK_FALSE(rig.backend().told_to_stop());
  CHECK_FALSE(lender.is_back());
  clock.advance(1);
  lender.wait_until_back();
  rig.backend().wait_until_begun(2);  // it waits at the gate again, on the runner's thread
  clock.advance(kSecond);             // which may take its time
  rig.backend().open_gate();
  CHECK(lender.end().values == answer_to({7, 8}));
  CHECK(rig.backend().seen().size() == 2);
  CHECK(rig.stats().retried_batches == 1);
  CHECK(rig.run({1}).values == answer_to({1}));  // the instance serves on
  CHECK(rig.stats().answered == 2);
}

TEST_CASE("engine: a caller inside of a run is let go at its deadline, and mates are answered") {
  FakeClock clock;
  EngineOptions options = bare_options();
  Rig rig(options, clock);
  CHECK(rig.run({0}).state == State::done);  // measured, or nobody with a deadline would lend
  rig.backend().let_single_runs_be_stopped();
  rig.backend().shut_gate();
  Lender lender(rig, {5}, with_deadline(rig.in(20 * kMillisecond)));
  rig.submit({6});
  clock.advance(20 * kMillisecond);
  CHECK(lender.end().state == State::expired);  // though the gate is shut
  rig.backend().open_gate();
  CHECK(rig.next().values == answer_to({6}));
  CHECK(rig.stats().expired == 1);
}

TEST_CASE("engine: an event loop's thread is given back too") {
  FakeClock clock;
  Rig rig(bare_options(), clock);
  CHECK(rig.run({0}).state == State::done);
  rig.backend().let_single_runs_be_stopped();
  rig.backend().shut_gate();
  Call call;
  call.sink = &rig.box;
  rig.engine().enqueue(rig.admit({3}, call));
  std::thread loop([&] { static_cast<void>(rig.engine().flush(&rig.box, kMillisecond)); });
  rig.backend().wait_until_begun(2);
  clock.advance(kLentAtMost);
  loop.join();  // though the gate is shut
  rig.backend().open_gate();
  CHECK(rig.next().values == answer_to({3}));
  CHECK(rig.stats().inline_runs == 0);
}

TEST_CASE("engine: a run that ends as it is told to stop harms nobody, nor the next one") {
  FakeClock clock;
  Rig rig(bare_options(), clock);
  rig.backend().let_single_runs_be_stopped();
  rig.backend().on_run([&](const SeenRun&) { clock.advance(kLentAtMost); });
  for (float i = 0; i < 300; ++i) CHECK(rig.run({i}).values == answer_to({i}));
  CHECK(rig.stats().answered == 300);
  CHECK(rig.stats().retried_batches <= 300);  // not one of them twice
}

TEST_CASE("engine: after a run that was stopped the next one is lent again") {
  FakeClock clock;
  Rig rig(bare_options(), clock);
  for (int i = 0; i < 20; ++i) CHECK(rig.run({0}).state == State::done);
  rig.backend().let_single_runs_be_stopped();
  rig.backend().shut_gate();
  Lender lender(rig, {5});
  clock.advance(kLentAtMost);
  lender.wait_until_back();
  rig.backend().wait_until_begun(22);
  rig.backend().open_gate();
  CHECK(lender.end().values == answer_to({5}));
  const std::uint64_t lent = rig.stats().lent_runs;
  CHECK(rig.run({6}).values == answer_to({6}));
  CHECK(rig.stats().lent_runs == lent + 1);
}

TEST_CASE("engine: a runner's own run takes as long as it takes") {
  FakeClock clock;
  Rig rig(bare_options(), clock);
  rig.backend().let_single_runs_be_stopped();
  rig.occupy(4);
  clock.advance(kSecond);
  rig.submit({5});
  clock.advance(kSecond);
  rig.backend().open_gate();
  CHECK(rig.next().values == answer_to({4}));
  CHECK(rig.next().values == answer_to({5}));
  CHECK(rig.stats().retried_batches == 0);
}

TEST_CASE("engine: what was stopped once and then for good is told of the close") {
  FakeClock clock;
  Rig rig(bare_options(), clock);
  rig.backend().let_single_runs_be_stopped();
  rig.backend().shut_gate();
  Lender lender(rig, {1});
  clock.advance(kLentAtMost);
  lender.wait_until_back();
  rig.backend().wait_until_begun(2);
  rig.engine().answer_queued();
  rig.engine().stop_runs();
  const Outcome outcome = lender.end();
  CHECK(outcome.error->code() == ErrorCode::session_closed);
}

}  // namespace
