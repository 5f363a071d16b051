// Every way in which a request ends, and who hears of it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <utility>

#include "base/failpoint.h"
#include "batch/batch.h"
#include "batch/request.h"
#include "batch/request_slab.h"
#include "engine/ledger.h"
#include "queue/credits.h"

namespace inferkit {

// Sinks that must be woken once the work at hand is done: a few distinct ones.
template <class Atom>
class SinkWakes {
 public:
  void add(Sink<Atom>* sink, Ledger<Atom>& ledger) noexcept {
    // Its consumer took in some answers while others were still being delivered: one wake, after
    // the last of them, is enough.
    if (std::find(sinks_.begin(), sinks_.begin() + count_, sink) != sinks_.begin() + count_) return;
    ledger.sink_wakes.add();
    if (count_ == sinks_.size()) {
      sink->wake();  // no room to defer it: wake now
    } else {
      sinks_[count_++] = sink;
    }
  }
  void send() noexcept {
    for (std::uint32_t i = 0; i < count_; ++i) sinks_[i]->wake();
    count_ = 0;
  }

 private:
  std::array<Sink<Atom>*, 8> sinks_{};
  std::uint32_t count_ = 0;
};

// The ends of a request. Whoever wins the CAS into a terminal state counts it (before anybody can
// see the answer), tells the sink or the sleeper, and lets go of its own side last. Who wins it out
// of queued also frees what the request held, input bytes and credits, before anybody is told: the
// queue side keeps but the record, as a tombstone (docs/adr/0011). Else they go with its run.
// Threads: any. Blocks: never. Owns: slab and credits. Asks the heap for nothing, but in share().
template <class Atom>
class Resolver {
 public:
  using Record = Request<Atom>;

  Resolver(std::uint32_t max_pending, std::uint64_t max_pending_bytes, std::uint32_t max_rows)
      : credits(max_pending, max_pending_bytes),
        slab(max_pending + max_pending / 2 + 64),
        ledger(max_rows) {}

  // The queue side lets go of a tombstone.
  void bury(Record* request) noexcept { slab.release(request); }

  // A request that ended while its batch ran, and would have run again.
  void bury_after_run(Record* request) noexcept {
    free_what_it_held(request);
    bury(request);
  }

  // By the queue side: a queued request ends without having run. False: it had ended already, and
  // is a tombstone. Either way the queue side must bury() it afterwards.
  bool drop(Record* request, RequestState state, SinkWakes<Atom>& wakes) noexcept {
    if (!counted(state, [&] { return request->move(RequestState::queued, state); })) return false;
    free_what_it_held(request);
    tell(request, wakes);
    return true;
  }

  // The same, where there is no heap for its place in the queue: it fails.
  bool refuse(Record* request, SinkWakes<Atom>& wakes) noexcept {
    // Before the CAS, and ours to write, won or lost: who ended it as anything else does not look.
    request->error = no_memory_;
    return drop(request, RequestState::failed, wakes);
  }

  // By a third party with a handle: a running request ends before its run does.
  void expire_running(Handle handle, SinkWakes<Atom>& wakes) noexcept {
    Record* request = &slab[handle.index];
    constexpr RequestState kEnd = RequestState::expired;
    const auto end = [&] {
      return request->move_and_own(handle.generation, RequestState::claimed, kEnd);
    };
    if (!counted(kEnd, end)) return;
    tell(request, wakes);
    slab.release(request);
  }

  // By the owner of the sink side, which keeps it. True: it won and nothing will be delivered.
  // `was_queued` tells whether a tombstone was left.
  [[nodiscard]] bool leave(Record* request, RequestState state, bool running_too,
                           bool& was_queued) noexcept {
    was_queued = false;
    const auto end = [&] {
      // Around until it has ended: a batch that fails puts it from claimed back to queued.
      while (!is_terminal(request->state())) {
        was_queued = request->move(RequestState::queued, state);
        if (was_queued) return true;
        if (request->state() != RequestState::claimed) continue;
        if (!running_too) return false;
        if (request->move(RequestState::claimed, state)) return true;
      }
      return false;
    };
    if (!counted(state, end)) return false;
    if (was_queued) free_what_it_held(request);
    return true;
  }

  // By the thread that ran the batch: every member gets its rows of `result`.
  void answer(Batch<Atom>& batch, const ResultRef& result, const Sink<Atom>* awake) noexcept {
    std::uint32_t row = 0;
    for (Record* request : batch.members) {
      request->result = result;
      request->first_row = row;
      row += request->rows;
    }
    deliver(batch, awake);
  }

  // The same, where every member has its result already.
  void deliver(Batch<Atom>& batch, const Sink<Atom>* awake) noexcept {
    ledger.answered.add(batch.members.size());
    finish(batch.members, RequestState::done, ledger.answered, awake);
    batch.members.clear();
  }

  // By the thread that ran the batch: every member gets `error`.
  void fail(Batch<Atom>& batch, const SharedError& error, const Sink<Atom>* awake) noexcept {
    fail(batch.members, error, awake);
    batch.members.clear();
  }
  void fail(std::span<Record* const> members, const SharedError& error,
            const Sink<Atom>* awake) noexcept {
    ledger.failed.add(members.size());
    for (Record* request : members) request->error = error;
    finish(members, RequestState::failed, ledger.failed, awake);
  }

  // An error to tell: of these, or, where there is no heap for it, of that.
  template <class... Parts>
  [[nodiscard]] SharedError share(Parts&&... parts) const noexcept try {
    return std::make_shared<const Error>(std::forward<Parts>(parts)...);
  } catch (const std::bad_alloc&) {
    return no_memory_;
  }
  [[nodiscard]] const SharedError& no_memory() const noexcept { return no_memory_; }

  // By the woken sleeper, before anything else: passes the wake on.
  void wake_next_of(const Record& request) noexcept {
    if (request.wake_next == nullptr) return;
    ledger.caller_wakes.add();
    Atom::wake(request.wake_next->wait, 1);
  }

  // By the owner of the sink side: with the record goes what its result lay in, if he has copied
  // it, for which somebody may wait.
  void release(Record* request) noexcept {
    slab.release(request);
    memory_made();
  }
  void memory_made() noexcept {
    if (credits.announced()) room_made();
  }

  // Whether records are in use, and so memory that comes back by itself.
  [[nodiscard]] bool is_busy() const noexcept { return slab.count_in_use() != 0; }

  void room_made() noexcept {
    credits.wake_waiters();
    if (room_hook) room_hook();
  }

  Credits<Atom> credits;
  RequestSlab<Atom> slab;
  Ledger<Atom> ledger;
  std::function<void()> room_hook;  // set before it can be needed

 private:
  static constexpr std::size_t kWakeChains = 2;

  // Made while there is memory.
  const SharedError no_memory_ =
      std::make_shared<const Error>(ErrorCode::out_of_memory, "out of memory for the request");

  // Counts before the CAS, so that whoever sees the state finds it counted; a loser takes it back.
  template <class Move>
  bool counted(RequestState state, Move&& move) noexcept {
    auto& counter = state == RequestState::cancelled ? ledger.cancelled
                    : state == RequestState::expired ? ledger.expired
                    : state == RequestState::failed  ? ledger.failed
                                                     : ledger.closed;
    counter.add();
    if (move()) return true;
    counter.take_back();
    return false;
  }

  // Of its parts what they gave: in a tombstone the queue side still counts them.
  void free_what_it_held(Record* request) noexcept {
    request->payload = {};
    if (request->parts != nullptr) request->parts->let_go();
    if (credits.give(request->charged_bytes)) room_made();
  }

  void tell(Record* request, SinkWakes<Atom>& wakes) noexcept {
    INFERKIT_FAILPOINT("resolver.won");
    if (request->sink != nullptr) {
      Sink<Atom>* sink = request->sink;
      if (sink->deliver(request)) wakes.add(sink, ledger);
      return;
    }
    request->wake_next = nullptr;
    if (set_done(request)) wake(request);
  }

  // True: the caller sleeps. release: pairs with the sleeper's acquire. Nothing is acquired: what a
  // sleeper says of itself carries nothing else.
  [[nodiscard]] bool set_done(Record* request) noexcept {
    const std::uint32_t before = request->wait.exchange(static_cast<std::uint32_t>(WaitWord::done),
                                                        std::memory_order_release);
    return before == static_cast<std::uint32_t>(WaitWord::parked);
  }

  void wake(Record* request) noexcept {
    ledger.caller_wakes.add();
    Atom::wake(request->wait, 1);
  }

  // Credits and payload go first, so that a caller with its answer finds room for the next call.
  // Sleepers are woken in chains: each wakes the next before it asks for the interpreter lock.
  void finish(std::span<Record* const> members, RequestState state,
              typename Ledger<Atom>::Counter& counter, const Sink<Atom>* awake) noexcept {
    SinkWakes<Atom> wakes;
    std::array<Record*, kWakeChains> chains{};
    std::size_t chain = 0;
    for (Record* request : members) free_what_it_held(request);
    for (Record* request : members) {
      Sink<Atom>* sink = request->sink;
      request->wake_next = chains[chain];
      if (!request->move(RequestState::claimed, state)) {
        counter.take_back();  // cancelled or expired while it ran
      } else if (sink != nullptr) {
        if (sink->deliver(request) && sink != awake) wakes.add(sink, ledger);
      } else if (set_done(request)) {
        chains[chain] = request;
        chain = (chain + 1) % kWakeChains;
      }
      slab.release(request);  // last: it may be recycled in here
    }
    for (Record* head : chains) {
      if (head != nullptr) wake(head);
    }
    wakes.send();
  }
};

}  // namespace inferkit
