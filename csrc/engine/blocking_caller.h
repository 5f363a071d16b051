// A thread that waits for its own answer, and may be asked to work meanwhile.
#pragma once

#include "base/thread_setup.h"
#include "engine/executor.h"
#include "engine/scheduler.h"

namespace inferkit {

// Threads: start() and await() by the thread that submitted the request. Owns: nothing.
// Blocks: as each says; never while holding the token. Throws: never.
template <class Atom>
class BlockingCaller {
 public:
  using Record = Request<Atom>;

  BlockingCaller(Scheduler<Atom>& scheduler, Resolver<Atom>& resolver, Executor<Atom>& executor,
                 const Clock& clock)
      : scheduler_(scheduler), resolver_(resolver), executor_(executor), clock_(clock) {}

  // Queues, and runs the batch that holds the request if nobody else has to come first.
  void start(Record* request) noexcept {
    scheduler_.push(request);
    const bool last = scheduler_.crowded();
    if (last) Atom::yield();
    Role<Atom> role;
    role.kind = Role<Atom>::Kind::caller;
    role.caller = request;
    // With a deadline it might be late by now.
    if (!last && request->deadline == kNever) role.now = request->arrival;
    lead(scheduler_.ring(role));
  }

  // True: resolved. False: `until` came, or a signal; call again or abandon().
  [[nodiscard]] bool await(Record* request, TimeNs until) noexcept {
    for (;;) {
      if (is_terminal(request->state())) return true;
      const TimeNs now = clock_.now();
      if (now >= request->deadline) {
        if (leave(request, RequestState::expired)) return true;
        continue;
      }
      if (now >= until) return false;
      const std::uint32_t word = sleep(request, std::min(until, request->deadline));
      if (word == kLead) {
        take_the_lead(request);
      } else if (word == kAwake && until != kNever) {
        return is_terminal(request->state());  // a time-out, a signal, or nothing at all
      }
    }
  }

  // Leaves without the answer; not from within await(). The sink side is released.
  void abandon(Record* request) noexcept {
    if (!leave(request, RequestState::cancelled)) {
      const RequestState state = request->state();
      if (state == RequestState::done || state == RequestState::failed) {
        resolver_.ledger.undeliverable.add();
      }
    }
    resolver_.release(request);
  }

  void tell_of_tombstone() noexcept {
    scheduler_.note_tombstone();
    // The ring lets the holder bury it, and passes on any duty we may have been picked for.
    const int lease = scheduler_.ring({});
    static_cast<void>(lease);  // role none is never given one
  }

 private:
  static constexpr auto kAwake = static_cast<std::uint32_t>(WaitWord::awake);
  static constexpr auto kParked = static_cast<std::uint32_t>(WaitWord::parked);
  static constexpr auto kLead = static_cast<std::uint32_t>(WaitWord::lead);
  static constexpr auto kDone = static_cast<std::uint32_t>(WaitWord::done);

  // Parks. Returns what the word held afterwards; `parked` itself is taken back, so that nobody
  // hands a batch to a thread that is leaving.
  [[nodiscard]] std::uint32_t sleep(Record* request, TimeNs until) noexcept {
    std::uint32_t word = kAwake;
    // acquire: a failure has found `done`, and the state is looked at next.
    if (!request->wait.compare_exchange_strong(word, kParked, std::memory_order_relaxed,
                                               std::memory_order_acquire)) {
      return word;
    }
    Atom::wait(request->wait, kParked, until);
    word = kParked;
    // acquire on failure: pairs with the hand-over and with `done`.
    if (request->wait.compare_exchange_strong(word, kAwake, std::memory_order_relaxed,
                                              std::memory_order_acquire)) {
      return kAwake;
    }
    // Told while we were parked: the wake came to us alone, and the rest of the chain is ours.
    if (word == kDone) resolver_.wake_next_of(*request);
    return word;
  }

  // We were handed a batch: consume by CAS, so that a `done` written meanwhile is kept.
  void take_the_lead(Record* request) noexcept {
    const std::uint32_t lease = request->lead_lease;
    std::uint32_t word = kLead;
    static_cast<void>(request->wait.compare_exchange_strong(word, kAwake, std::memory_order_relaxed,
                                                            std::memory_order_relaxed));
    lead(static_cast<int>(lease));
  }

  // One run for others at most; what is left is handed on.
  void lead(int lease) noexcept {
    if (lease == kNoLease) return;
    Batch<Atom>& batch = scheduler_.batch(lease);
    {
      const FlushDenormals flush;
      executor_.run(batch, static_cast<std::uint32_t>(lease), RanOn::lent_thread, nullptr);
    }
    const TimeNs ended = batch.ended;  // the batch is no longer ours then
    const int none = scheduler_.finish(lease, {.now = ended});
    static_cast<void>(none);  // role none is never given one
  }

  // True: the request ended as `state`; false: something else came first.
  [[nodiscard]] bool leave(Record* request, RequestState state) noexcept {
    bool was_queued = false;
    if (!resolver_.leave(request, state, true, was_queued)) return false;
    if (was_queued) tell_of_tombstone();
    return true;
  }

  Scheduler<Atom>& scheduler_;
  Resolver<Atom>& resolver_;
  Executor<Atom>& executor_;
  const Clock& clock_;
};

}  // namespace inferkit
