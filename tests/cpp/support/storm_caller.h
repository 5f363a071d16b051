// The callers of a storm and what they check; here also those who block for each answer.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/engine.h"
#include "support/patience.h"
#include "support/storm.h"

namespace inferkit::testing {

// What the callers of a round share.
struct Round {
  Engine& engine;
  Weather weather;
  std::atomic<bool> closing{false};     // somebody closes, or has closed
  std::atomic<bool> over{false};        // of this phase: who has no quota stops
  std::atomic<std::uint64_t> asked{0};  // in this phase
  std::uint64_t half = 0;               // as many as that, and somebody closes
  std::atomic<std::uint32_t> halfway{0};

  void count(std::uint64_t more) {
    const std::uint64_t before = asked.fetch_add(more);
    if (before < half && before + more >= half) step(halfway);
  }
};

// A caller in a thread of its own. Everything that it was told is checked against its tickets.
// Threads: ask() by any that has its own Ticket, Dice and Seen; the rest by the caller's own.
class StormCaller {
 public:
  StormCaller(Round& round, std::uint64_t seed)
      : round_(round), engine_(round.engine), dice_(seed) {}
  virtual ~StormCaller() = default;
  StormCaller(const StormCaller&) = delete;
  StormCaller& operator=(const StormCaller&) = delete;

  // Asks `quota` times, or until the phase is over or the engine closed; returns with nothing out.
  virtual void work(std::uint64_t quota) = 0;
  [[nodiscard]] virtual Seen seen() const { return seen_; }

 protected:
  // Null: no room, in the queue or in the pool, or closed. `error`: how that was told.
  [[nodiscard]] EngineRequest* ask(Ticket& ticket, Dice& dice, Call call, Seen& seen,
                                   std::optional<ErrorCode>& error) {
    const Weather& weather = round_.weather;
    ticket.ask = Ask::any(dice, weather, engine_.options().max_batch_rows);
    if (one_in(dice, weather.timed)) {
      const std::uint32_t longest = one_in(dice, 2) ? 20'000 : 300'000;
      call.deadline = engine_.clock().now() + static_cast<DurationNs>(dice() % longest);
    }
    call.priority = static_cast<std::int32_t>(dice() % 3);
    call.user = &ticket;
    ticket.deadline = call.deadline;
    float few[4 * kWidth];
    std::vector<float> many(ticket.ask.elements() > std::size(few) ? ticket.ask.elements() : 0);
    float* values = many.empty() ? few : many.data();
    for (std::size_t i = 0; i < ticket.ask.elements(); ++i) values[i] = ticket.ask.element(i);
    const TensorView view{DType::float32, shape_of_rows(ticket.ask.rows),
                          reinterpret_cast<std::byte*>(values)};
    const bool refuse = one_in(dice, weather.refuse);
    error.reset();
    try {
      ticket.request = engine_.admit({&view, 1}, call, refuse ? IfFull::fail : IfFull::announce);
    } catch (const Error& refusal) {
      error = refusal.code();
      ticket.request = nullptr;
      seen.refused += refusal.code() == ErrorCode::queue_full ? 1 : 0;
      const bool known = refusal.code() == ErrorCode::queue_full ||
                         (refusal.code() == ErrorCode::session_closed && round_.closing.load());
      if (!known) ++seen.wrong;
    }
    if (ticket.request != nullptr) {
      ++seen.accepted;
      seen.in_parts += ticket.ask.rows > engine_.options().max_batch_rows ? 1 : 0;
    }
    return ticket.request;
  }

  [[nodiscard]] bool goes_on(std::optional<ErrorCode> error) const {
    return error != ErrorCode::session_closed && seen_.stuck == 0 && !round_.over.load();
  }

  // After a full queue was found, and whatever could make room was done.
  void wait_for_room(std::uint32_t epoch) {
    const TimeNs until = engine_.clock().now() + kPatience;
    engine_.wait_for_room(epoch, until);
    ++seen_.waited;
    if (engine_.clock().now() >= until) ++seen_.stuck;
  }

  // Books how the ticket's request ended, and lets go of it.
  void judge(Ticket& ticket, EngineRequest* request) {
    if (!ticket.out.load() || ticket.request != request) ++seen_.twice;
    const RequestState state = request->state();
    if (state == RequestState::done) {
      judge_answer(ticket, *request);
    } else if (state == RequestState::failed) {
      judge_failure(ticket, engine_.error_of(*request));
    } else if (state == RequestState::expired) {
      const bool late = ticket.deadline <= engine_.clock().now();
      if (!late || engine_.error_of(*request).code() != ErrorCode::deadline_exceeded) ++seen_.wrong;
      ++seen_.expired;
    } else if (state == RequestState::closed) {
      if (!round_.closing.load()) ++seen_.wrong;
      if (engine_.error_of(*request).code() != ErrorCode::session_closed) ++seen_.wrong;
      ++seen_.closed;
    } else {
      ++seen_.wrong;  // not ended, or cancelled by nobody
    }
    engine_.release(request);
    ticket.out.store(false);
  }

  Round& round_;
  Engine& engine_;
  Dice dice_;
  Seen seen_;
  Kept kept_;

 private:
  static Shape shape_of_rows(std::uint32_t rows) {
    const std::int64_t dims[] = {rows, kWidth};
    return Shape(dims);
  }

  void judge_answer(const Ticket& ticket, EngineRequest& request) {
    ++seen_.answered;
    const bool right =
        !ticket.ask.bad() && ticket.ask.is_answered_by(*request.result, request.first_row);
    if (!right) ++seen_.wrong;
    if (!kept_.keep(ticket.ask, request.result, request.first_row)) ++seen_.wrong;
  }

  void judge_failure(const Ticket& ticket, const Error& error) {
    ++seen_.failed;
    const bool stopped = error.code() == ErrorCode::session_closed && round_.closing.load();
    const bool planned = error.code() == ErrorCode::out_of_memory;
    seen_.planned += planned ? 1 : 0;
    if (!stopped && !planned && !ticket.ask.bad()) ++seen_.wrong;  // somebody else's row
  }
};

// A thread that blocks for each answer, sometimes looks up meanwhile, and sometimes leaves.
class BlockedCaller final : public StormCaller {
 public:
  using StormCaller::StormCaller;

  void work(std::uint64_t quota) override {
    std::optional<ErrorCode> error;
    for (std::uint64_t i = 0; i < quota && goes_on(error); ++i) {
      round_.count(1);
      const std::uint32_t epoch = engine_.room_epoch();
      if (ask(ticket_, dice_, {}, seen_, error) != nullptr) {
        answer();
      } else if (!error) {
        wait_for_room(epoch);
      }
    }
    kept_.drop();
  }

 private:
  void answer() {
    ticket_.out.store(true);
    engine_.start(ticket_.request);
    const bool impatient = one_in(dice_, round_.weather.impatient);
    while (!engine_.await(ticket_.request,
                          impatient ? engine_.clock().now() + 20 * kMicrosecond : kNever)) {
      if (!one_in(dice_, 4)) continue;
      engine_.abandon(ticket_.request);
      ++seen_.abandoned;
      return ticket_.out.store(false);
    }
    judge(ticket_, ticket_.request);
  }

  Ticket ticket_;
};

}  // namespace inferkit::testing
