// One request: its state machine, what it asks for, and where its answer goes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/atom.h"
#include "base/error.h"
#include "batch/batch_result.h"
#include "batch/lane_dims.h"
#include "batch/parts.h"
#include "memory/block.h"
#include "queue/inbox.h"

namespace inferkit {

//  free -> queued -> claimed -> done | failed
//             |         |-> queued      (its batch failed, or took a part of its rows)
//             |         '-> cancelled | expired | closed   (the run goes on, nobody takes the
//             result)
//             '-> cancelled | expired | closed, or failed: no heap for its place in the queue
enum class RequestState : std::uint8_t {
  free,
  queued,
  claimed,
  done,
  failed,
  cancelled,
  expired,
  closed
};

[[nodiscard]] constexpr bool is_terminal(RequestState state) noexcept {
  return state >= RequestState::done;
}

// How a blocked caller sleeps (the futex word of its request).
enum class WaitWord : std::uint32_t {
  awake,   // nobody sleeps
  parked,  // the caller sleeps
  lead,    // the caller was handed a batch to run (Request::lead_lease)
  done     // final: look at the state
};

template <class Atom>
struct Request;

// Where answers go when nobody blocks for them: an event loop's port, or the notifier.
// Threads: deliver and wake from any; the consumer drains `answers`. wake() never blocks.
// Owns: nothing. Lives until Engine::close() has returned for every engine that it was given to: a
// runner may still be about to call wake() when the consumer has long taken the answer.
template <class Atom>
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void wake() noexcept = 0;

  // True when the consumer has to be woken.
  [[nodiscard]] bool deliver(Request<Atom>* request) noexcept { return answers.push(request); }

  Inbox<Atom, Request<Atom>> answers;
};

// Names a request that may have been recycled meanwhile.
struct Handle {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;
};

// A record of the slab. Two owners: the queue side (lanes, batch) and the sink side (the caller,
// or the consumer of its Sink). Whoever wins a CAS out of a state does what belongs to the new one.
// Threads: word and wait from any; the plain fields as each says.
// Owns: its payload until it is freed, its result and a share of its error until both owners let
// go.
template <class Atom>
struct alignas(kCacheLineBytes) Request {
  template <class T>
  using Atomic = typename Atom::template Atomic<T>;
  template <class T>
  using Plain = typename Atom::template Plain<T>;

  // generation << 32 | owners << 8 | state
  Atomic<std::uint64_t> word{std::uint64_t{Atom::counts_from()} << 32};
  Atomic<std::uint32_t> wait{0};
  std::uint32_t index = 0;        // in the slab; constant
  Plain<Request*> next{nullptr};  // inbox, then mailbox; in between it belongs to nobody
  Atomic<std::uint32_t> next_free{0};

  // Written by the submitter before the push, read-only afterwards.
  Plain<Sink<Atom>*> sink{nullptr};  // null: a caller blocks for the answer
  Plain<void*> user{nullptr};        // the sink's own
  std::uint32_t rows = 0;
  std::int32_t priority = 0;
  std::uint64_t lane_hash = 0;
  LaneDims lane_dims;
  Plain<std::uint64_t> charged_bytes{0};  // what was taken from the credits
  TimeNs arrival = 0;
  TimeNs deadline = kNever;
  BlockRef payload;  // Payload (batch/payload.h); freed by whoever wins the CAS out of queued

  // More rows than one batch takes; set by the submitter, then whoever holds the queue side's.
  std::unique_ptr<Parts> parts;

  // Written by the queue side, before the CAS that says so.
  ResultRef result;
  Plain<std::uint32_t> first_row{0};
  SharedError error;

  // The token holder's: the lane that it lies in.
  Plain<const void*> lane{nullptr};

  // Wake chain and hand-over, published by `wait`.
  Plain<Request*> wake_next{nullptr};
  Plain<std::uint32_t> lead_lease{0};

  // How many rows it has not had answered, and how many of them its next run takes.
  [[nodiscard]] std::uint32_t rows_left() const noexcept {
    return parts == nullptr ? rows : parts->rows_left();
  }
  [[nodiscard]] std::uint32_t next_rows() const noexcept {
    return parts == nullptr ? rows : parts->next_rows();
  }

  // --- the state machine -------------------------------------------------------------------

  static constexpr std::uint64_t kOneOwner = 1ULL << 8;

  [[nodiscard]] static RequestState state_of(std::uint64_t word) noexcept {
    return static_cast<RequestState>(word & 0xff);
  }
  [[nodiscard]] static std::uint32_t generation_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> 32);
  }
  // acquire: pairs with the CAS into a terminal state, whose writes the reader then sees.
  [[nodiscard]] RequestState state() const noexcept {
    return state_of(word.load(std::memory_order_acquire));
  }
  [[nodiscard]] Handle handle() const noexcept {
    return {index, generation_of(word.load(std::memory_order_relaxed))};
  }

  // By the submitter, alone with the record. relaxed: the inbox push publishes it.
  void open() noexcept {
    const std::uint64_t generation = word.load(std::memory_order_relaxed) & ~0xffffffffULL;
    wait.store(static_cast<std::uint32_t>(WaitWord::awake), std::memory_order_relaxed);
    word.store(generation | 2 * kOneOwner | static_cast<std::uint64_t>(RequestState::queued),
               std::memory_order_relaxed);
  }

  // By an owner. release: the answer written before is seen by who finds the new state;
  // acquire: the winner may free what others wrote (the payload).
  [[nodiscard]] bool move(RequestState from, RequestState to) noexcept {
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    while (state_of(seen) == from) {
      const std::uint64_t next = (seen & ~0xffULL) | static_cast<std::uint64_t>(to);
      if (word.compare_exchange_weak(seen, next, std::memory_order_acq_rel,
                                     std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  // By a third party that owns nothing: the same CAS checks the generation and adds an owner,
  // which the winner drops last.
  [[nodiscard]] bool move_and_own(std::uint32_t generation, RequestState from,
                                  RequestState to) noexcept {
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    while (state_of(seen) == from && generation_of(seen) == generation) {
      const std::uint64_t next = ((seen & ~0xffULL) | static_cast<std::uint64_t>(to)) + kOneOwner;
      // release: who finds the request ended, and closes, also finds that the winner still has
      // sinks to wake (Scheduler::become_teller()).
      if (word.compare_exchange_weak(seen, next, std::memory_order_release,
                                     std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  // True for the last owner, who must clear the record and return it to the slab.
  [[nodiscard]] bool drop_owner() noexcept {
    // acq_rel: our use of the record is over; the last one sees everybody's before it clears.
    const std::uint64_t before = word.fetch_sub(kOneOwner, std::memory_order_acq_rel);
    return ((before >> 8) & 0xff) == 1;
  }
};

}  // namespace inferkit
