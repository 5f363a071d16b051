// A service as the engine makes it, for programs: scheduler, resolver, executor, callers, and a
// backend that gives back what it was given.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <set>
#include <span>
#include <utility>

#include "base/error.h"
#include "engine/blocking_caller.h"
#include "engine/runner.h"
#include "explorer/programs.h"
#include "memory/host_resource.h"
#include "support/function_backend.h"
#include "support/views.h"

namespace inferkit::testing {

using explorer::Execution;
using explorer::ExploredAtom;
using explorer::ExploredClock;
using explorer::Plain;
using explorer::reached;
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
  // Until `count` answers have come; each is given to finish(record).
  template <class Finish>
  void serve(int count, Finish finish) {
    while (count > 0) {
      while (told_.load(std::memory_order_acquire) == 0) ExploredAtom::wait(told_, 0, kNever);
      told_.exchange(0, std::memory_order_acquire);
      count -= take(finish);
    }
  }
  // What there is; how many.
  template <class Finish>
  int take(Finish finish) {
    int count = 0;
    for (Record* record = answers.drain(); record != nullptr; ++count) {
      Record* following = record->next;
      finish(record);
      record = following;
    }
    return count;
  }

 private:
  Atomic<std::uint32_t> told_{0};
  Plain<int> alive_{1};
};

// Told to stop a run, or no longer to, by the token holder: never once the engine is closed.
class Model final : public FunctionBackend {
 public:
  using FunctionBackend::FunctionBackend;
  void stop_run(std::uint32_t instance) noexcept override {
    require(alive_ == 1, "the model is gone");
    FunctionBackend::stop_run(instance);
  }
  void resume_runs(std::uint32_t instance) noexcept override {
    require(alive_ == 1, "the model is gone");
    FunctionBackend::resume_runs(instance);
  }
  void end() { alive_ = 0; }

 private:
  Plain<int> alive_{1};
};

// Of `kCallers` threads that leave() in the end; room for `kPending` requests.
template <std::uint32_t kCallers, std::uint32_t kPending = 4, std::uint32_t kInstances = 1,
          std::uint32_t kPreferredRows = 4, DurationNs kMaxDelay = 0>
struct Service {
  ExploredClock clock;
  Signature signature = signature_of({spec_of("x", DType::float32, {-1, 1})},
                                     {spec_of("y", DType::float32, {-1, 1})});
  Model backend{signature, [this](auto inputs, auto outputs) { add_one(inputs, outputs); }};
  TensorPool::Ref pool = TensorPool::create(host_resource(), std::size_t{1} << 20);
  Resolver<ExploredAtom> resolver{kPending, 1 << 16, 4};
  Scheduler<ExploredAtom> scheduler{{.max_rows = 4,
                                     .preferred_rows = kPreferredRows,
                                     .max_delay = kMaxDelay,
                                     .instances = kInstances},
                                    resolver,
                                    clock};
  Executor<ExploredAtom> executor{backend, signature, true, *pool, resolver, clock};
  BlockingCaller<ExploredAtom> caller{scheduler, resolver, executor, clock};
  Port port;
  Atomic<bool> stopping{false};
  Atomic<std::uint32_t> callers{kCallers};  // not yet over
  bool poisoned = false;                    // request 1 makes its batch fail
  bool stops_runs = false;                  // for good, at some moment
  DurationNs run_time = 0;
  Atomic<std::uint32_t> may_end{1};                  // until then no run does
  std::uint32_t running = 0;                         // batches
  std::array<bool, explorer::kMaxThreads> parks{};   // in await()
  std::array<bool, explorer::kMaxThreads> handed{};  // a batch, there
  std::array<Slip, 5> slips;
  std::set<std::pair<std::uint32_t, std::uint32_t>> handles;  // index, generation

  void add_one(std::span<const TensorView> inputs, std::span<OutputSlot> outputs) {
    if (++running == 2) reached("two batches ran at once");
    note_who_runs(inputs[0].shape[0]);
    Execution::current()->take_time(run_time);
    while (may_end.load(std::memory_order_acquire) == 0) ExploredAtom::wait(may_end, 0, kNever);
    --running;
    const std::span rows(reinterpret_cast<const float*>(inputs[0].data),
                         static_cast<std::size_t>(inputs[0].shape[0]));
    std::array<int, 5> asked{};
    for (const float row : rows) asked[at(row)] = slips[at(row)].asked;
    if (poisoned && std::find(rows.begin(), rows.end(), 1.0F) != rows.end()) {
      fail(ErrorCode::backend, "poisoned");
    }
    for (const float row : rows) slips[at(row)].answered = asked[at(row)] + 1;
    std::memcpy(outputs[0].view.data, rows.data(), rows.size_bytes());
  }
  static std::size_t at(float row) { return static_cast<std::size_t>(row); }

  // As Engine::Core::accept(); waits for room. Null: the door is closed.
  Record* accept(int number, TimeNs deadline = kNever, Port* sink = nullptr) {
    slips[static_cast<std::size_t>(number)].asked = number;
    float value = static_cast<float>(number);
    const TensorView input{DType::float32, shape_of({1, 1}), reinterpret_cast<std::byte*>(&value)};
    const PayloadPlan plan = check_inputs(signature, {&input, 1});
    for (;;) {
      const std::uint32_t epoch = resolver.credits.epoch();
      const auto take = resolver.credits.take_or_announce(plan.bytes);
      if (take == Credits<ExploredAtom>::Take::taken) break;
      if (take == Credits<ExploredAtom>::Take::closed) {
        reached("the door was closed");
        return nullptr;
      }
      reached("a caller waited for room");
      resolver.credits.wait(epoch, kNever);
    }
    Record* record = resolver.slab.take();
    record->payload = pool->try_allocate(plan.bytes);
    write_payload(signature, {&input, 1}, record->payload.data());
    static_cast<void>(record->lane_dims.assign(signature, {&input, 1}));
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
    const Handle handle = record->handle();
    require(handles.emplace(handle.index, handle.generation).second, "two have the same handle");
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
    if (state == RequestState::failed) {
      const bool may_fail = stops_runs ? record->error->code() == ErrorCode::session_closed
                                       : poisoned && record->user == &slips[1];
      require(may_fail, "a batch mate was failed");
    }
    resolver.slab.release(record);
  }

  // --- the threads ----------------------------------------------------------------------------
  void block_for(int number, TimeNs deadline = kNever) {
    Record* record = accept(number, deadline);
    if (record == nullptr) return leave();
    caller.start(record);
    bool& parked = parks[Execution::current()->thread()];
    parked = true;
    while (!caller.await(record, kNever)) {
    }
    parked = false;
    finish(record);
    leave();
  }
  // As who is interrupted, or has no more time.
  void give_up_on(int number) {
    Record* record = accept(number);
    if (record == nullptr) return leave();
    caller.start(record);
    if (caller.await(record, clock.now() + kSecond)) {
      finish(record);
    } else {
      reached("a caller gave up");
      caller.abandon(record);
    }
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
    void* const user = record->user;
    const bool won = resolver.leave(record, RequestState::cancelled, true, was_queued);
    // No run has it, nor will: as with its payload, what it needed may go.
    if (was_queued) static_cast<Slip*>(user)->asked = -1;
    reached(was_queued ? "one was cancelled while queued"
            : won      ? "one was cancelled while it ran"
                       : "a cancel came too late");
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
    backend.end();
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
    for (std::uint32_t index = 0; index < 8; ++index) {  // the slab gives these out first
      const std::uint64_t word = resolver.slab[index].word.load(std::memory_order_relaxed);
      require((word & ~0U) == 0, "a record was not given back");
    }
    note_ends();
  }
  void note_who_runs(std::int64_t rows) {
    const std::size_t me = Execution::current()->thread();
    if (!parks[me]) return;
    reached("a parked caller was handed a batch");
    if (rows > 1) reached("a parked caller was handed a batch of several");
    handed[me] = true;
    if (std::count(handed.begin(), handed.end(), true) == 2) {
      reached("two parked callers were handed batches");
    }
  }
  void note_ends() {
    const auto& ledger = resolver.ledger;
    if (ledger.answered.get() != 0) reached("one was answered");
    if (ledger.failed.get() != 0) reached("one failed");
    if (ledger.expired.get() != 0) reached("one expired");
    if (ledger.closed.get() != 0) reached("one was closed");
    if (ledger.retried_batches.get() != 0) reached("a batch was halved");
    if (ledger.lent_runs.get() != 0) reached("a caller ran a batch");
    if (ExploredAtom::counts_from() == 0) return;
    if (resolver.slab[0].handle().generation == 0) reached("a generation wrapped");
    if (resolver.credits.epoch() != ExploredAtom::counts_from()) reached("an epoch wrapped");
  }
};

}  // namespace inferkit::testing
