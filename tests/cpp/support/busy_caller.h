// Callers of a storm with many requests out at once, and sinks that ask from within wake().
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/engine.h"
#include "support/patience.h"
#include "support/storm.h"
#include "support/storm_caller.h"

namespace inferkit::testing {

// A mailbox whose wake() asks again, on whatever thread it is called. Takes part while `open`.
class AskingSink final : public EngineSink {
 public:
  using Again = void (*)(void* caller) noexcept;

  AskingSink(void* caller, Again again) : caller_(caller), again_(again) {}

  void wake() noexcept override {
    again_(caller_);
    step(wakes_);
  }
  [[nodiscard]] std::uint32_t wakes() const noexcept { return wakes_.load(); }
  // False when patience ran out.
  [[nodiscard]] bool sleep(std::uint32_t seen) const { return reaches(wakes_, seen + 1); }

 private:
  void* const caller_;
  const Again again_;
  std::atomic<std::uint32_t> wakes_{0};
};

// A thread with many requests out, as an event loop or the notifier has them; its sink asks too.
class BusyCaller final : public StormCaller {
 public:
  BusyCaller(Round& round, std::uint64_t seed, bool reenters)
      : StormCaller(round, seed),
        reenters_(reenters),
        tickets_(round.weather.held),
        sink_(this, [](void* self) noexcept { static_cast<BusyCaller*>(self)->ask_again(); }) {
    for (std::size_t i = 0; i < own_.size(); ++i) own_[i].dice = Dice(seed + i + 1);
    for (Ticket& ticket : tickets_) idle_.push_back(&ticket);
  }

  void work(std::uint64_t quota) override {
    open_.store(reenters_);
    std::optional<ErrorCode> error;
    for (std::uint64_t asked = 0; asked < quota && goes_on(error);) {
      settle_ready();
      if (idle_.empty()) sleep();
      std::uint32_t burst = 1 + dice_() % round_.weather.burst;
      const std::uint64_t before = asked;
      for (; burst > 0 && !idle_.empty() && ask_one(error); --burst) ++asked;
      flush();
      round_.count(asked - before);
      if (one_in(dice_, 2)) cancel_some();
    }
    flush();
    open_.store(false);
    while (is_any_out() && seen_.stuck == 0) sleep();
    kept_.drop();
  }

  [[nodiscard]] Seen seen() const override {
    Seen all = seen_;
    for (const Own& own : own_) all += own.seen;
    return all;
  }

 private:
  // What wake() asks with. Taken by Ticket::out.
  struct Own {
    Ticket ticket;
    Dice dice;
    Seen seen;
  };

  [[nodiscard]] bool ask_one(std::optional<ErrorCode>& error) {
    Ticket& ticket = *idle_.back();
    Call call;
    call.sink = &sink_;
    const std::uint32_t epoch = engine_.room_epoch();
    if (ask(ticket, dice_, call, seen_, error) == nullptr) {
      if (!error) {  // the room that we wait for may be our own queued ones'
        flush();
        settle_ready();
        wait_for_room(epoch);
      }
      return false;
    }
    ticket.out.store(true);
    idle_.pop_back();
    if (one_in(dice_, 8)) {
      engine_.submit(ticket.request);
    } else {
      engine_.enqueue(ticket.request);
      unflushed_ = true;
    }
    return true;
  }

  void flush() {
    if (!unflushed_) return;
    unflushed_ = false;
    static_cast<void>(engine_.flush(&sink_, one_in(dice_, 2) ? 0 : 100 * kMicrosecond));
  }

  // On any thread: one more request from within the telling of others.
  void ask_again() noexcept {
    for (Own& own : own_) {
      if (own.ticket.out.exchange(true)) continue;
      std::optional<ErrorCode> error;
      Call call;
      call.sink = &sink_;
      // After taking the ticket: whoever shut us out waits for it.
      if (!open_.load() || ask(own.ticket, own.dice, call, own.seen, error) == nullptr) {
        return own.ticket.out.store(false);
      }
      ++own.seen.reentrant;
      return engine_.submit(own.ticket.request);
    }
  }

  // Not yet released, so still ours, whatever became of them.
  void cancel_some() {
    for (Ticket& ticket : tickets_) {
      if (!ticket.out.load() || !one_in(dice_, round_.weather.cancel)) continue;
      if (!engine_.cancel(ticket.request, one_in(dice_, 2))) continue;
      ++seen_.cancelled;
      engine_.release(ticket.request);
      ticket.out.store(false);
      idle_.push_back(&ticket);
    }
  }

  void settle_ready() {
    for (EngineRequest* next = sink_.answers.drain(); next != nullptr;) {
      EngineRequest* request = next;
      next = next->next;
      auto* ticket = static_cast<Ticket*>(request->user);
      judge(*ticket, request);
      ++settled_;
      if (ticket >= tickets_.data() && ticket < tickets_.data() + tickets_.size()) {
        idle_.push_back(ticket);
      }
    }
  }

  // Settles what there is, or sleeps until there may be more.
  void sleep() {
    const std::uint32_t wakes = sink_.wakes();
    const std::uint64_t before = settled_;
    settle_ready();
    if (settled_ != before || !is_any_out()) return;
    if (!sink_.sleep(wakes)) ++seen_.stuck;
  }

  [[nodiscard]] bool is_any_out() const {
    if (idle_.size() < tickets_.size()) return true;
    for (const Own& own : own_) {
      if (own.ticket.out.load()) return true;
    }
    return false;
  }

  const bool reenters_;
  std::vector<Ticket> tickets_;
  std::vector<Ticket*> idle_;
  std::array<Own, 8> own_;
  std::atomic<bool> open_{false};
  bool unflushed_ = false;
  std::uint64_t settled_ = 0;
  AskingSink sink_;
};

}  // namespace inferkit::testing
