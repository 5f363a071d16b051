// The end of an engine.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/failpoint.h"
#include "engine/engine.h"
#include "support/engine_rig.h"
#include "support/thrown.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using State = RequestState;

constexpr int kMany = 1'000;

EngineOptions for_many() {
  EngineOptions options = bare_options();
  options.max_pending = kMany + 10;
  return options;
}

// Half of them blocked callers, half with a mailbox.
struct Crowd {
  std::vector<EngineRequest*> callers;

  explicit Crowd(Rig& rig) {
    for (int i = 0; i < kMany / 2; ++i) {
      callers.push_back(rig.start({static_cast<float>(i)}));
      rig.submit({static_cast<float>(i)});
    }
  }
};

void check_closed(const Outcome& outcome) {
  CHECK(outcome.state == State::closed);
  REQUIRE(outcome.error.has_value());
  CHECK(outcome.error->code() == ErrorCode::session_closed);
}

void check_refused(Rig& rig) {
  const auto error = thrown([&] { static_cast<void>(rig.admit({1})); });
  REQUIRE(error.has_value());
  CHECK(error->code() == ErrorCode::session_closed);
}

TEST_CASE("engine: a drain does not wait for company, which is refused by then") {
  EngineOptions options = bare_options();
  options.max_delay_ns = 3600 * kSecond;
  Rig rig(options);
  EngineRequest* const alone = rig.submit({1});
  rig.engine().close(true, 20 * kSecond);
  REQUIRE(rig.box.take() == alone);
  CHECK(collect(rig.engine(), alone).values == answer_to({1}));
}

TEST_CASE("engine: closing with a drain answers everybody first") {
  Rig rig(for_many());
  rig.occupy();
  Crowd crowd(rig);
  std::thread closer([&] { rig.engine().close(true, kNever); });
  while (!rig.engine().closed()) std::this_thread::yield();
  check_refused(rig);
  rig.backend().open_gate();
  closer.join();
  for (EngineRequest* request : crowd.callers) CHECK(rig.wait(request).state == State::done);
  for (int i = 0; i < kMany / 2 + 1; ++i) CHECK(rig.next().state == State::done);
  CHECK(rig.stats().answered == kMany + 1);
}

TEST_CASE(
    "engine: closing without a drain answers the queued at once and the running in its time") {
  Rig rig(for_many());
  rig.occupy();
  Crowd crowd(rig);
  std::atomic<bool> closed{false};
  std::thread closer([&] {
    rig.engine().close(false, kNever);
    closed = true;
  });
  for (int i = 0; i < kMany / 2; ++i) check_closed(rig.next());  // the gate is still shut
  for (EngineRequest* request : crowd.callers) check_closed(rig.wait(request));
  CHECK_FALSE(closed);
  check_refused(rig);
  rig.backend().open_gate();
  closer.join();
  CHECK(rig.next().values == answer_to({0}));
  CHECK(rig.stats().closed == kMany);
  CHECK(rig.stats().answered == 1);
}

TEST_CASE("engine: a drain that takes too long ends like none") {
  Rig rig(for_many());
  rig.occupy();
  Crowd crowd(rig);
  std::thread closer([&] { rig.engine().close(true, kMillisecond); });
  for (int i = 0; i < kMany / 2; ++i) check_closed(rig.next());
  rig.backend().open_gate();
  closer.join();
  CHECK(rig.next().state == State::done);
  for (EngineRequest* request : crowd.callers) check_closed(rig.wait(request));
  CHECK(rig.stats().closed == kMany);
}

TEST_CASE("engine: a drain that gives up keeps the door shut and the accepted waiting") {
  Rig rig;
  rig.occupy();
  rig.submit({1});
  CHECK_FALSE(rig.engine().drain(rig.in(kMillisecond)));
  CHECK(rig.engine().closed());
  check_refused(rig);
  CHECK(rig.stats().in_flight == 2);
  rig.backend().open_gate();
  CHECK(rig.engine().drain(kNever));
  CHECK(rig.next().state == State::done);
  CHECK(rig.next().values == answer_to({1}));
}

TEST_CASE("engine: blocked threads are let go by close") {
  Rig rig;
  rig.occupy();
  constexpr int kThreads = 8;
  std::atomic<int> told{0};
  std::atomic<int> started{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      EngineRequest* request = rig.start({1});
      started.fetch_add(1);
      if (rig.wait(request).state == State::closed) told.fetch_add(1);
    });
  }
  while (started < kThreads) std::this_thread::yield();
  std::thread closer([&] { rig.engine().close(false, kNever); });
  for (std::thread& thread : threads) thread.join();
  CHECK(told == kThreads);
  rig.backend().open_gate();
  closer.join();
}

TEST_CASE("engine: accepted before the close and queued after it, a request is told so") {
  Rig rig;
  EngineRequest* caller = rig.admit({1});
  Call call;
  call.sink = &rig.box;
  EngineRequest* other = rig.admit({2}, call);
  const std::uint64_t before = failpoint::at("engine.closing").visits();
  std::thread closer([&] { rig.engine().close(false, kNever); });
  while (failpoint::at("engine.closing").visits() == before) std::this_thread::yield();
  rig.engine().start(caller);
  rig.engine().submit(other);
  closer.join();
  check_closed(rig.wait(caller));
  check_closed(rig.next());
  CHECK(rig.backend().seen().empty());
}

TEST_CASE("engine: accepted before a drain and queued after it, a request is answered") {
  Rig rig;
  EngineRequest* caller = rig.admit({1});
  std::thread closer([&] { rig.engine().close(true, kNever); });
  while (!rig.engine().closed()) std::this_thread::yield();
  rig.engine().start(caller);
  closer.join();
  CHECK(rig.wait(caller).values == answer_to({1}));
}

TEST_CASE("engine: closed, it has let go of the model and is still there to be asked") {
  const auto model = std::make_shared<ScriptedBackend>(row_wise_signature(1));
  const auto engine = Engine::open(std::make_unique<SharedBackend>(model), bare_options());
  CHECK(model.use_count() == 2);
  engine->close(true, kNever);
  CHECK(model.use_count() == 1);
  CHECK(says(engine->explain(), "scripted"));
  CHECK(engine->signature().inputs[0].name == "x");
  Rig::check_ledger(*engine);
}

TEST_CASE("engine: closing twice, from many threads, and idle") {
  Rig rig;
  CHECK(rig.run({1}).state == State::done);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&, i] { rig.engine().close(i % 2 == 0, 0); });
  for (std::thread& thread : threads) thread.join();
  CHECK(rig.engine().closed());
  rig.engine().close(true, kNever);
  check_refused(rig);
  CHECK(rig.stats().answered == 1);
}

TEST_CASE("engine: a runner that is about to look hears that it should end") {
  // It consumes its calls and then asks whether to stop. The other way round the last call of all
  // could be consumed without the answer, and close() joined a runner that slept.
  Rig rig;
  failpoint::Gate gate;
  const failpoint::Scoped looks("engine.runner_looks", failpoint::block_at(gate));
  const std::uint64_t joined = failpoint::at("engine.joining").visits();
  rig.submit({1});
  gate.wait_for_visitors(1);
  std::thread closer([&] { rig.engine().close(false, kNever); });
  while (failpoint::at("engine.joining").visits() == joined) std::this_thread::yield();
  gate.open();
  closer.join();
  check_closed(rig.next());
}

}  // namespace
