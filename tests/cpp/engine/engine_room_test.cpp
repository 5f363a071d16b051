// The door of an engine while there is no room behind it.
#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "base/failpoint.h"
#include "engine/engine.h"
#include "support/engine_rig.h"
#include "support/patience.h"
#include "support/thrown.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using State = RequestState;

TEST_CASE("engine: over max_pending the next is refused, by number, and nothing is taken") {
  EngineOptions options = bare_options();
  options.max_pending = 3;
  Rig rig(options);
  rig.occupy();
  rig.submit({1});
  rig.submit({2});
  const std::uint64_t bytes = rig.stats().queued_bytes;
  const auto error = thrown([&] { static_cast<void>(rig.admit({3})); });
  REQUIRE(error.has_value());
  CHECK(error->code() == ErrorCode::queue_full);
  CHECK(says(error->message(), "3 of 3 requests"));
  EngineStats stats = rig.stats();
  CHECK(stats.rejected == 1);
  CHECK(stats.accepted == 3);
  CHECK(stats.queued_bytes == bytes);
  CHECK(stats.in_flight == 3);
  rig.backend().open_gate();
  for (int i = 0; i < 3; ++i) CHECK(rig.next().state == State::done);
  CHECK(rig.run({4}).state == State::done);  // and there is room again
  CHECK(rig.stats().rejected == 1);
}

TEST_CASE("engine: over max_pending_bytes too, and what never fits is told so") {
  EngineOptions options = bare_options();
  options.max_pending_bytes = 256;
  Rig rig(options);
  rig.occupy();
  std::optional<Error> error;
  while (!error) error = thrown([&] { rig.submit({1, 2, 3}); });
  CHECK(error->code() == ErrorCode::queue_full);
  CHECK(says(error->message(), "of 256 bytes"));
  CHECK(rig.stats().queued_bytes <= 256);
  CHECK(rig.stats().in_flight == 2);
  error = thrown([&] { static_cast<void>(rig.admit(std::vector<float>(64))); });
  CHECK(error->code() == ErrorCode::invalid_input);
  CHECK(says(error->message(), "256", "max_pending_bytes", "got 320"));
  rig.backend().open_gate();
}

// Results of requests that are over.
class KeptResults {
 public:
  explicit KeptResults(Rig& rig) : rig_(rig) {}

  // False: there was no memory for a result.
  bool add() {
    EngineRequest* request = rig_.start({1});
    REQUIRE(rig_.engine().await(request, kNever));
    if (request->state() == State::done) results_.push_back(request->result);
    const bool fine = request->state() == State::done;
    rig_.engine().release(request);
    return fine;
  }
  void drop() { results_.clear(); }

 private:
  Rig& rig_;
  std::vector<ResultRef> results_;
};

EngineOptions with_memory(std::uint64_t bytes) {
  EngineOptions options = bare_options();
  options.max_memory_bytes = bytes;
  return options;
}

TEST_CASE("engine: over max_memory_bytes the queue is full, and who waits is told of room") {
  Rig rig(with_memory(64 << 10));
  CHECK(rig.engine().options().max_pending_bytes == 16 << 10);
  KeptResults kept(rig);
  for (int i = 0; i < 200; ++i) REQUIRE(kept.add());
  rig.occupy();
  std::optional<Error> error;
  int queued = -1;
  for (; !error; ++queued) error = thrown([&] { rig.submit({1}); });
  CHECK(queued > 0);
  CHECK(error->code() == ErrorCode::queue_full);
  CHECK(says(error->message(), "of 65536 bytes (max_memory_bytes)"));
  CHECK(rig.stats().rejected == 1);
  CHECK(rig.stats().pool.bytes_reserved <= 64 << 10);
  const std::uint32_t epoch = rig.engine().room_epoch();
  int hooked = 0;
  rig.engine().set_room_hook([&hooked] { ++hooked; });
  for (int i = 0; i < 3; ++i) {  // what is in flight will make room, and who asks wakes nobody
    CHECK(rig.admit({1}, {}, IfFull::announce) == nullptr);
    CHECK(rig.engine().room_epoch() == epoch);
  }
  CHECK(hooked == 0);
  rig.backend().open_gate();
  rig.engine().wait_for_room(epoch, kNever);
  CHECK(rig.engine().room_epoch() != epoch);
  for (int i = 0; i < queued + 1; ++i) static_cast<void>(rig.next());
  CHECK(hooked > 0);
  CHECK(rig.run({4}).state == State::done);
}

TEST_CASE("engine: who waits for memory that only results hold is refused") {
  Rig rig(with_memory(64 << 10));
  KeptResults kept(rig);
  while (kept.add()) continue;
  const auto big = [&](IfFull if_full) {
    return thrown([&] {
      const EngineRequest* request = rig.admit(std::vector<float>(1000), {}, if_full);
      CHECK(request == nullptr);
    });
  };
  for (const IfFull if_full : {IfFull::fail, IfFull::announce}) {
    const auto error = big(if_full);
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::queue_full);
    CHECK(says(error->message(), "results that callers keep", "max_memory_bytes"));
  }
  // But an answer that waits to be taken will make room: who waits hears when it is.
  const std::uint32_t epoch = rig.engine().room_epoch();
  EngineRequest* answered = rig.submit({});
  while (!is_terminal(answered->state())) std::this_thread::yield();
  CHECK(big(IfFull::announce) == std::nullopt);
  static_cast<void>(rig.next());
  rig.engine().wait_for_room(epoch, kNever);
  CHECK(rig.engine().room_epoch() != epoch);
  kept.drop();
  CHECK(rig.run(std::vector<float>(1000, 2)).state == State::done);
}

TEST_CASE("engine: what a cancelled request held goes to who waits, although a run goes on") {
  EngineOptions options = bare_options();
  options.max_pending = 8;
  Rig rig(options);
  rig.occupy();
  EngineRequest* last = nullptr;
  for (float i = 1; i < 8; ++i) last = rig.submit({i});
  const std::uint32_t epoch = rig.engine().room_epoch();
  CHECK(rig.admit({9}, {}, IfFull::announce) == nullptr);
  REQUIRE(rig.engine().cancel(last, false));  // one in seven: not worth a sweep but for the waiter
  rig.engine().release(last);
  CHECK(rig.engine().room_epoch() != epoch);
  EngineRequest* request = rig.admit({9}, {}, IfFull::announce);
  REQUIRE(request != nullptr);
  rig.backend().open_gate();
  rig.engine().start(request);
  CHECK(rig.wait(request).values == answer_to({9}));
}

TEST_CASE("engine: a place that was given back is there at once, whoever has the token") {
  EngineOptions options = bare_options();
  options.max_pending = 8;
  Rig rig(options);
  rig.occupy();
  EngineRequest* last = nullptr;
  for (float i = 1; i < 7; ++i) last = rig.submit({i});
  failpoint::Gate gate;
  std::thread holder;
  {
    const failpoint::Scoped taken_in("scheduler.taken_in", failpoint::block_at(gate));
    holder = std::thread([&] { rig.submit({7}); });
    gate.wait_for_visitors(1);
    REQUIRE(rig.engine().cancel(last, false));
    rig.engine().release(last);
    CHECK_FALSE(thrown([&] { rig.submit({8}); }));
    gate.open();
    holder.join();
  }
  CHECK(rig.stats().rejected == 0);
  rig.backend().open_gate();
}

TEST_CASE("engine: who announced itself is woken when there is room, and the hook is called") {
  EngineOptions options = bare_options();
  options.max_pending = 1;
  Rig rig(options);
  std::atomic<std::uint32_t> hooked{0};
  rig.engine().set_room_hook([&] { step(hooked); });
  rig.occupy();
  const std::uint32_t epoch = rig.engine().room_epoch();
  CHECK(rig.admit({1}, {}, IfFull::announce) == nullptr);
  CHECK(rig.stats().rejected == 0);
  CHECK(hooked == 0);
  rig.backend().open_gate();
  rig.engine().wait_for_room(epoch, kNever);
  CHECK(reaches(hooked, 1));
  EngineRequest* request = rig.admit({1}, {}, IfFull::announce);
  REQUIRE(request != nullptr);
  rig.engine().start(request);
  CHECK(rig.wait(request).values == answer_to({1}));
}

TEST_CASE("engine: a queue full of cancelled requests is not full") {
  EngineOptions options = bare_options();
  options.max_pending = 8;
  Rig rig(options);
  rig.occupy();
  std::vector<EngineRequest*> requests;
  for (int i = 0; i < 7; ++i) requests.push_back(rig.submit({static_cast<float>(i)}));
  for (EngineRequest* request : requests) {
    CHECK(rig.engine().cancel(request, false));
    rig.engine().release(request);
    rig.submit({50});  // at each of them
    REQUIRE(rig.stats().in_flight == 8);
  }
  rig.backend().open_gate();
}

TEST_CASE("engine: many threads through a narrow door, each waiting its turn") {
  EngineOptions options = bare_options();
  options.max_pending = 2;
  Rig rig(options);
  constexpr int kThreads = 6;
  constexpr int kEach = 300;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const auto value = static_cast<float>(t * kEach + i);
        EngineRequest* request = nullptr;
        for (;;) {
          const std::uint32_t epoch = rig.engine().room_epoch();
          request = rig.admit({value}, {}, IfFull::announce);
          if (request != nullptr) break;
          rig.engine().wait_for_room(epoch, kNever);  // a lost wake would end here
        }
        rig.engine().start(request);
        if (rig.wait(request).values != answer_to({value})) wrong.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(rig.stats().answered == kThreads * kEach);
}

TEST_CASE("engine: who waits for room learns that the door was closed") {
  EngineOptions options = bare_options();
  options.max_pending = 1;
  Rig rig(options);
  rig.occupy();
  const std::uint32_t epoch = rig.engine().room_epoch();
  REQUIRE(rig.admit({1}, {}, IfFull::announce) == nullptr);
  std::thread closer([&] { rig.engine().close(true, kNever); });
  rig.engine().wait_for_room(epoch, kNever);  // the gate is shut: only the close ends this
  const auto error = thrown([&] { static_cast<void>(rig.admit({1}, {}, IfFull::announce)); });
  REQUIRE(error.has_value());
  CHECK(error->code() == ErrorCode::session_closed);
  rig.backend().open_gate();
  closer.join();
}

TEST_CASE("engine: slow takers of answers do not keep others out") {
  EngineOptions options = bare_options();
  options.max_pending = 4;
  Rig rig(options);
  constexpr int kKept = 500;
  for (int i = 0; i < kKept; ++i) {
    Call call;
    call.sink = &rig.box;
    EngineRequest* request = nullptr;
    while (request == nullptr) {
      const std::uint32_t epoch = rig.engine().room_epoch();
      request = rig.admit({static_cast<float>(i)}, call, IfFull::announce);
      if (request == nullptr) rig.engine().wait_for_room(epoch, kNever);
    }
    rig.engine().submit(request);
  }
  for (int i = 0; i < kKept; ++i) CHECK(rig.next().values == answer_to({static_cast<float>(i)}));
}

}  // namespace
