// Scheduler, resolver, executor, callers, runners and keeper together: the real source, a backend
// that adds one.
#include <algorithm>
#include <array>
#include <memory>

#include "base/error.h"
#include "engine/blocking_caller.h"
#include "engine/door.h"
#include "engine/runner.h"
#include "explorer/programs.h"
#include "memory/host_resource.h"
#include "support/function_backend.h"
#include "support/views.h"

namespace inferkit::testing {
namespace {

using explorer::ExploredAtom;
using explorer::ExploredClock;
using explorer::Plain;
using explorer::require;
using Record = Request<ExploredAtom>;
template <class T>
using Atomic = explorer::Atomic<T>;

// What a request carries beside its number: whoever runs it must see what the submitter wrote, and
// the submitter what the runner wrote.
struct Slip {
  Plain<int> asked{0};
  Plain<int> answered{0};
};

// As an event loop's port: told by wake(), it takes its answers in.
class Port final : public Sink<ExploredAtom> {
 public:
  void wake() noexcept override {
    require(alive_ == 1, "woken after the close");
    told_.store(1, std::memory_order_release);
    ExploredAtom::wake(told_, 1);
  }
  // The engine is closed: from now on wake() must not be called.
  void end() { alive_ = 0; }
  // Until `count` answers have come; each is given to take(record).
  template <class Take>
  void serve(int count, Take take) {
    while (count > 0) {
      while (told_.load(std::memory_order_acquire) == 0) ExploredAtom::wait(told_, 0, kNever);
      told_.exchange(0, std::memory_order_acquire);
      for (Record* record = answers.drain(); record != nullptr; --count) {
        Record* following = record->next;
        take(record);
        record = following;
      }
    }
  }

 private:
  Atomic<std::uint32_t> told_{0};
  Plain<int> alive_{1};
};

template <std::uint32_t kCallers, std::uint32_t kPending = 4, std::uint32_t kInstances = 1>
struct Service {
  ExploredClock clock;
  Signature signature = signature_of({spec_of("x", DType::float32, {-1, 1})},
                                     {spec_of("y", DType::float32, {-1, 1})});
  FunctionBackend backend{signature,
                          [this](auto inputs, auto outputs) { add_one(inputs, outputs); }};
  TensorPool::Ref pool = TensorPool::create(host_resource(), std::size_t{1} << 20);
  Resolver<ExploredAtom> resolver{kPending, 1 << 16, 4};
  Scheduler<ExploredAtom> scheduler{
      {.max_rows = 4, .preferred_rows = 4, .instances = kInstances}, resolver, clock};
  Executor<ExploredAtom> executor{backend, signature, true, *pool, resolver, clock};
  BlockingCaller<ExploredAtom> caller{scheduler, resolver, executor, clock};
  Port port;
  Atomic<bool> stopping{false};
  Atomic<std::uint32_t> callers{kCallers};  // not yet over
  bool poisoned = false;                    // request 1 makes its batch fail
  std::array<Slip, 4> slips;

  void add_one(std::span<const TensorView> inputs, std::span<OutputSlot> outputs) {
    const auto* rows = reinterpret_cast<const float*>(inputs[0].data);
    if (poisoned && std::find(rows, rows + inputs[0].shape[0], 1.0F) != rows + inputs[0].shape[0]) {
      fail(ErrorCode::backend, "poisoned");
    }
    for (std::int64_t row = 0; row < inputs[0].shape[0]; ++row) {
      Slip& slip = slips[static_cast<std::size_t>(rows[row])];
      slip.answered = slip.asked + 1;
      reinterpret_cast<float*>(outputs[0].view.data)[row] = rows[row];
    }
  }

  // As Engine::Core::accept(); waits for room. Null: the door is closed.
  Record* accept(int number, TimeNs deadline = kNever, Port* sink = nullptr) {
    slips[static_cast<std::size_t>(number)].asked = number;
    float value = static_cast<float>(number);
    const TensorView input{DType::float32, shape_of({1, 1}), reinterpret_cast<std::byte*>(&value)};
    const PayloadPlan plan = check_inputs(signature, {&input, 1});
    for (;;) {
      const std::uint32_t epoch = resolver.credits.epoch();
      const auto take = take_credits(resolver, scheduler, plan.bytes, true);
      if (take == Credits<ExploredAtom>::Take::taken) break;
      if (take == Credits<ExploredAtom>::Take::closed) return nullptr;
      resolver.credits.wait(epoch, kNever);
    }
    Record* record = resolver.slab.take();
    record->payload = pool->try_allocate(plan.bytes);
    write_payload(signature, {&input, 1}, record->payload.data());
    record->lane_dims.assign(signature, {&input, 1});
    record->lane_hash = plan.lane_hash;
    record->lane = nullptr;
    record->charged_bytes = plan.bytes;
    record->rows = 1;
    record->deadline = deadline;
    record->sink = sink;
    record->user = &slips[static_cast<std::size_t>(number)];
    record->arrival = clock.now();
    resolver.ledger.accepted.add();
    record->open();
    return record;
  }
  void finish(Record* record) {
    const RequestState state = record->state();
    require(is_terminal(state), "an answer that is none");
    if (state == RequestState::done) {
      void* const user = record->user;
      const Slip& slip = *static_cast<Slip*>(user);
      require(slip.answered == slip.asked + 1, "a wrong answer");
    }
    require(state != RequestState::failed || (poisoned && record->user == &slips[1]),
            "a batch mate was failed");
    resolver.slab.release(record);
  }

  // --- the threads ----------------------------------------------------------------------------
  void block_for(int number, TimeNs deadline = kNever) {
    Record* record = accept(number, deadline);
    if (record == nullptr) return leave();
    caller.start(record);
    while (!caller.await(record, kNever)) {
    }
    finish(record);
    leave();
  }
  Record* send(int number, TimeNs deadline = kNever) {
    Record* record = accept(number, deadline, &port);
    if (record == nullptr) return nullptr;
    scheduler.push(record);
    static_cast<void>(scheduler.ring({}));
    return record;
  }
  // As Engine::cancel() and release(), by the owner of the sink. False: the answer comes.
  bool cancel(Record* record) {
    bool was_queued = false;
    const bool won = resolver.leave(record, RequestState::cancelled, true, was_queued);
    if (was_queued) caller.tell_of_tombstone();
    if (won) resolver.slab.release(record);
    return won;
  }
  void take_answers(int count) {
    port.serve(count, [this](Record* record) { finish(record); });
    leave();
  }
  void run_batches(std::uint32_t me = 0) {
    serve_batches<ExploredAtom>(me, scheduler, executor, stopping);
  }
  void keep_time() {
    TimeNs due = kNever;
    while (scheduler.keeper().next(due, clock)) static_cast<void>(scheduler.ring({}));
  }
  // The last to leave closes the engine.
  void leave() {
    if (callers.fetch_sub(1, std::memory_order_acq_rel) == 1) close();
  }
  // As Engine::Core::close() without draining, but it never looks again after a while: nothing may
  // be missed.
  void close() {
    resolver.credits.close();
    resolver.room_made();
    scheduler.begin_closing();
    for (;;) {
      static_cast<void>(scheduler.ring({}));
      const std::uint32_t epoch = resolver.credits.epoch();
      if (!resolver.credits.announce_unless_idle()) break;
      resolver.credits.wait(epoch, kNever);
    }
    static_cast<void>(scheduler.wait_all_free(kNever));
    port.end();
    stopping.store(true, std::memory_order_release);
    scheduler.runners().notify_all();
    scheduler.keeper().stop();
  }

  void check() {
    const auto& ledger = resolver.ledger;
    const std::uint64_t ended = ledger.answered.get() + ledger.failed.get() +
                                ledger.cancelled.get() + ledger.expired.get() + ledger.closed.get();
    require(ledger.accepted.get() == ended, "the ledger does not balance");
    require(resolver.slab.count_in_flight() == 0, "a request is still there");
    require(resolver.credits.requests() == 0, "credits are lost");
  }
};

// --- the programs --------------------------------------------------------------------------------

explorer::MakeProgram two_block() {
  using Two = Service<2>;
  return program<Two>({[](Two& s) { s.block_for(0); }, [](Two& s) { s.block_for(1); },
                       [](Two& s) { s.run_batches(); }},
                      [](Two& s) { s.check(); });
}

explorer::MakeProgram one_blocks_one_is_told() {
  using Two = Service<2>;
  return program<Two>({[](Two& s) { s.block_for(0); },
                       [](Two& s) {
                         static_cast<void>(s.send(1));
                         s.take_answers(1);
                       },
                       [](Two& s) { s.run_batches(); }},
                      [](Two& s) { s.check(); });
}

explorer::MakeProgram deadlines() {
  using Two = Service<2>;
  return program<Two>({[](Two& s) { s.block_for(0, s.clock.now() + kSecond); },
                       [](Two& s) {
                         static_cast<void>(s.send(1, s.clock.now() + kSecond));
                         s.take_answers(1);
                       },
                       [](Two& s) { s.run_batches(); }, [](Two& s) { s.keep_time(); }},
                      [](Two& s) { s.check(); });
}

explorer::MakeProgram only_the_keeper() {
  using One = Service<1>;
  return program<One>({[](One& s) {
                         static_cast<void>(s.send(0, s.clock.now() + kSecond));
                         s.take_answers(1);
                       },
                       [](One& s) { s.keep_time(); }},
                      [](One& s) {
                        s.check();
                        require(s.resolver.ledger.expired.get() == 1, "who answered?");
                      });
}

// Beside a blocked caller; with room for one, the tombstone stands in its way.
template <std::uint32_t kPending>
explorer::MakeProgram cancelled() {
  using Two = Service<2, kPending>;
  return program<Two>({[](Two& s) { s.block_for(0); },
                       [](Two& s) {
                         const int gone = s.cancel(s.send(1)) ? 1 : 0;
                         s.take_answers(1 - gone);
                       },
                       [](Two& s) { s.run_batches(); }},
                      [](Two& s) { s.check(); });
}

explorer::MakeProgram poisoned() {
  struct Bad : Service<2> {
    Bad() { poisoned = true; }
  };
  return program<Bad>({[](Bad& s) { s.block_for(0); },
                       [](Bad& s) {
                         static_cast<void>(s.send(1));
                         static_cast<void>(s.send(2));
                         s.take_answers(2);
                       },
                       [](Bad& s) { s.run_batches(); }},
                      [](Bad& s) { s.check(); });
}

// The close comes whenever it comes: to a queued request, a sleeping caller, one at the door.
explorer::MakeProgram closed() {
  using Any = Service<3, 1>;  // more than ever leave: the closer is a thread of its own
  return program<Any>({[](Any& s) { s.block_for(0); },
                       [](Any& s) {
                         const int sent = s.send(1) == nullptr ? 0 : 1;
                         s.take_answers(sent);
                       },
                       [](Any& s) { s.run_batches(); }, [](Any& s) { s.close(); }},
                      [](Any& s) { s.check(); });
}

explorer::MakeProgram two_instances() {
  using Wide = Service<2, 4, 2>;
  return program<Wide>({[](Wide& s) {
                          static_cast<void>(s.send(0));
                          static_cast<void>(s.send(1));
                          s.take_answers(2);
                        },
                        [](Wide& s) { s.block_for(2); }, [](Wide& s) { s.run_batches(0); },
                        [](Wide& s) { s.run_batches(1); }},
                       [](Wide& s) { s.check(); });
}

}  // namespace

std::vector<NamedProgram> engine_programs() {
  constexpr explorer::Budget kBudget{.preemptions = 2, .stale = 1, .spurious = 1};
  return {
      {"engine: two callers block", two_block(), kBudget, 10'000},
      {"engine: one blocks, one is told", one_blocks_one_is_told(), kBudget, 10'000},
      {"engine: deadlines and the keeper", deadlines(), kBudget, 10'000},
      {"engine: nobody but the keeper", only_the_keeper(), kBudget, 10'000},
      {"engine: a request is cancelled", cancelled<4>(), kBudget, 10'000},
      {"engine: room for one, and a tombstone in it", cancelled<1>(), kBudget, 10'000},
      {"engine: one of a batch makes it fail", poisoned(), kBudget, 10'000},
      {"engine: closed at any moment", closed(), kBudget, 10'000},
      {"engine: two instances", two_instances(), kBudget, 10'000},
  };
}

}  // namespace inferkit::testing
