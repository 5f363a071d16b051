// What the token holder does; included by scheduler.h only.
#pragma once

#include "base/failpoint.h"
#include "engine/scheduler.h"

namespace inferkit {

template <class Atom>
int Scheduler<Atom>::hold(const Role<Atom>& role) noexcept {
  Wakes wakes;
  int mine = kNoLease;
  for (int round = 1;; ++round) {
    take_in(wakes);
    INFERKIT_FAILPOINT("scheduler.taken_in");
    collect_returns(wakes);
    const TimeNs now = round == 1 ? first_look(role) : clock_.now();
    tidy(now, wakes);
    dispatch(role, now, mine, wakes);
    set_alarm(now, wakes);
    if (bell_.release()) break;
    if (round == kMaxRounds) {
      // Others keep ringing: let a runner take over rather than hold this caller for ever. All
      // may be inside long runs; then the keeper looks after deadlines.
      if (known_free_ == 0) arm_keeper(now, wakes);
      bell_.drop();
      wakes.hint = true;
      break;
    }
    bell_.clear_pending();
  }
  INFERKIT_FAILPOINT("scheduler.let_go");
  send(wakes);
  return mine;
}

// The time that the taker brought, where nobody is queued who may have come after it.
template <class Atom>
TimeNs Scheduler<Atom>::first_look(const Role<Atom>& role) noexcept {
  if (role.now == kNever) return clock_.now();
  const std::size_t queued = lanes_.requests();
  const bool mine = role.caller != nullptr && role.caller->state() == RequestState::queued;
  return queued == 0 || (queued == 1 && mine) ? role.now : clock_.now();
}

template <class Atom>
void Scheduler<Atom>::tidy(TimeNs now, Wakes& wakes) {
  // relaxed: who begins to close rings afterwards, and the ring carries the order.
  const bool closing = closing_.load(std::memory_order_relaxed);
  // relaxed: see note_tombstone().
  const std::int32_t tombstones = tombstones_.load(std::memory_order_relaxed);
  const bool sweep = tombstones > 0 && static_cast<std::size_t>(tombstones) * 4 > lanes_.requests();
  std::int32_t buried = 0;
  lanes_.for_each([&](Lane<Atom>& lane) {
    if (lane.empty() || !(closing || sweep || lane.earliest_deadline() <= now)) return;
    become_teller(wakes);
    const auto leaves = [&](Record* request) {
      const bool late = request->deadline <= now;
      if (closing || late) {
        const RequestState end = closing ? RequestState::closed : RequestState::expired;
        if (!resolver_.drop(request, end, wakes.sinks)) ++buried;
        return true;
      }
      const bool tombstone = request->state() != RequestState::queued;
      buried += tombstone ? 1 : 0;
      return tombstone;
    };
    lane.sweep(leaves, [&](Record* request) { resolver_.bury(request); });
  });
  if (buried != 0) tombstones_.fetch_sub(buried, std::memory_order_relaxed);
  expire_running(now, wakes);
  stop_overruns(now, wakes);
}

template <class Atom>
void Scheduler<Atom>::dispatch(const Role<Atom>& role, TimeNs now, int& mine, Wakes& wakes) {
  wait_until_ = kNever;
  wakes.hint = false;
  if (known_free_ == 0 || lanes_.requests() == 0) return;
  lanes_.for_each([&](Lane<Atom>& lane) { lane.put_hopeless_behind(limits_.preferred_rows, now); });
  BatchLimits limits = limits_;
  if (resolver_.credits.closed()) limits.max_delay = 0;  // no company will come any more
  while (known_free_ != 0) {
    const auto free = static_cast<std::uint32_t>(__builtin_popcount(known_free_));
    const Decision decision = decide(lanes_.states(limits.max_delay > 0, now), limits, free, now);
    if (decision.kind != Decision::Kind::run) {
      wait_until_ = decision.until;
      return;
    }
    Lane<Atom>& lane = lanes_.lane(decision.lane);
    const std::uint32_t rows =
        mine == kNoLease ? rows_for(role, lane, decision.rows) : decision.rows;
    const DurationNs predicted = lane.latency.p99(rows);
    const bool for_me = mine == kNoLease && may_take(role, lane, rows, now);
    // Nobody here to run it and nobody asleep in it to hand it to: a runner claims it when it is
    // awake, and until then the batch keeps growing.
    if (!for_me && (lane.callers() == 0 || predicted > kLendLimit || lane.takes_retry())) {
      wakes.hint = !goes_on(role, lane, mine);
      return;
    }
    const auto lease = static_cast<std::uint32_t>(__builtin_ctz(known_free_));
    if (!claim(lane, rows, lease, now)) continue;
    if (for_me && is_mine(role, batches_[lease])) {
      mine = static_cast<int>(lease);
      batches_[lease].stop_at = wanted_back(role, now);
    } else {
      hand_over(lease, predicted, now, wakes);
    }
  }
}

// A loop takes what fits its budget where that is half of the batch or more: a runner takes the
// rest at the same time. Of less the loop would soon be asked again, and the batches be small.
template <class Atom>
std::uint32_t Scheduler<Atom>::rows_for(const Role<Atom>& role, const Lane<Atom>& lane,
                                        std::uint32_t rows) const noexcept {
  const bool whole = role.kind != Role<Atom>::Kind::loop || lane.front_sink() != role.loop ||
                     lane.on_loop.usual(rows) <= role.budget;
  if (whole) return rows;
  const std::uint32_t part = lane.on_loop.rows_within(role.budget, rows);
  return 2 * part >= rows && part >= lane.front_rows() ? part : rows;
}

// Whether the loop that runs `mine` is expected to have time for all that is left, too.
template <class Atom>
bool Scheduler<Atom>::goes_on(const Role<Atom>& role, const Lane<Atom>& lane,
                              int mine) const noexcept {
  if (mine == kNoLease || role.kind != Role<Atom>::Kind::loop) return false;
  if (lane.front_sink() != role.loop || lane.requests() != lanes_.requests()) return false;
  const Batch<Atom>& batch = batches_[static_cast<std::size_t>(mine)];
  const DurationNs first = batch.lane->on_loop.usual(batch.rows);
  return first + lane.on_loop.usual(lane.rows()) <= role.budget;
}

template <class Atom>
bool Scheduler<Atom>::may_take(const Role<Atom>& role, const Lane<Atom>& lane, std::uint32_t rows,
                               TimeNs now) const noexcept {
  using Kind = typename Role<Atom>::Kind;
  if (role.kind == Kind::runner) return true;
  if (role.kind == Kind::none || lane.takes_retry()) return false;
  if (role.kind == Kind::loop) {
    // Unmeasured, a run may take for ever: not on an event loop's thread.
    return lane.front_sink() == role.loop && lane.on_loop.measured() &&
           lane.on_loop.usual(rows) <= role.budget;
  }
  const Record& caller = *role.caller;
  if (caller.lane != &lane || caller.state() != RequestState::queued) return false;
  const DurationNs predicted = lane.latency.p99(rows);
  if (caller.deadline == kNever) return predicted <= kLendLimit;
  return lane.latency.measured() && predicted <= std::min(kLendLimit, caller.deadline - now);
}

template <class Atom>
bool Scheduler<Atom>::claim(Lane<Atom>& lane, std::uint32_t rows, std::uint32_t lease, TimeNs now) {
  Batch<Atom>& batch = batches_[lease];
  lane.note_load(now);
  const auto add = [&](Record* request) {
    if (!request->move(RequestState::queued, RequestState::claimed)) {
      resolver_.bury(request);  // a tombstone
      tombstones_.fetch_sub(1, std::memory_order_relaxed);
      return;
    }
    batch.members.push_back(request);
    batch.rows += request->next_rows();
    batch.has_callers = batch.has_callers || request->sink == nullptr;
    batch.has_parts = batch.has_parts || request->parts != nullptr;
    if (request->sink != nullptr && request->deadline != kNever) {
      batch.deadlines.push_back({request->handle(), request->deadline});
    }
  };
  if (lane.takes_retry()) {
    for (Record* request : lane.pop_retry()) add(request);
  } else {
    // Requests without rows cost nothing, so their number is bounded apart.
    while (batch.members.size() < std::max(rows, limits_.max_rows)) {
      const std::uint32_t room = rows > batch.rows ? rows - batch.rows : 0;
      Record* request = lane.pop_within(room, batch.members.empty());
      if (request == nullptr) break;
      add(request);
    }
  }
  if (batch.members.empty()) return false;
  if (batch.was_stopped) take_back_stop(batch, lease);  // whose members keep a close waiting
  batch.lane = &lane;
  batch.claimed = now;
  // Company lately is company soon: threads that a lone run wakes go on spinning for some 50 ms
  // (measured: 23-32 % of the throughput of 64 callers on two cores).
  const bool company = known_free_ != all_leases() || batch.members.size() > 1;
  if (company) {
    company_ = kCompanyLasts;
  } else if (company_ != 0) {
    --company_;
  }
  batch.alone = company_ == 0;
  note_crowd();
  ++lane.running;
  lane.running_rows += batch.rows;
  known_free_ &= ~(1U << lease);
  // relaxed: collect_returns() has acquired what finish() released, here or before the token came.
  free_.fetch_and(~(1U << lease), std::memory_order_relaxed);
  return true;
}

template <class Atom>
void Scheduler<Atom>::note_crowd() noexcept {
  if (resolver_.credits.requests() > limits_.instances) {
    crowd_ = kCrowdLasts;
  } else if (crowd_ != 0) {
    --crowd_;
  }
  const bool crowded = crowd_ != 0;
  if (crowded_.load(std::memory_order_relaxed) != crowded) {  // seldom: many read it
    crowded_.store(crowded, std::memory_order_relaxed);
  }
}

template <class Atom>
bool Scheduler<Atom>::is_mine(const Role<Atom>& role, const Batch<Atom>& batch) const noexcept {
  using Kind = typename Role<Atom>::Kind;
  if (role.kind == Kind::runner) return true;
  for (const Record* request : batch.members) {
    if (role.kind == Kind::caller ? request == role.caller : request->sink == role.loop) {
      return true;
    }
  }
  return false;
}

// Prefers a member that sleeps anyway and has to be woken; else a runner.
template <class Atom>
void Scheduler<Atom>::hand_over(std::uint32_t lease, DurationNs predicted, TimeNs now,
                                Wakes& wakes) noexcept {
  Batch<Atom>& batch = batches_[lease];
  for (Record* request : batch.members) {
    if (request->sink != nullptr || wakes.lead_count == std::size(wakes.leads)) continue;
    const TimeNs deadline = request->deadline;  // once told to lead, it may end and be another's
    const bool timed = deadline != kNever;
    const DurationNs left = timed ? deadline - now : kNever;
    if (predicted > std::min(kLendLimit, left) || (timed && !batch.lane->latency.measured())) {
      continue;
    }
    request->lead_lease = lease;
    auto parked = static_cast<std::uint32_t>(WaitWord::parked);
    // release: pairs with the sleeper's acquire: batch and lease number. Fails if it left or is
    // not asleep; then somebody else leads.
    if (request->wait.compare_exchange_strong(parked, static_cast<std::uint32_t>(WaitWord::lead),
                                              std::memory_order_release,
                                              std::memory_order_relaxed)) {
      wakes.leads[wakes.lead_count++] = request;
      batch.stop_at = std::min(now + kLentAtMost, deadline);
      return;
    }
  }
  runners_.assign(lease);
  ++wakes.assigned;
}

// Before the first credits are given back: a close() that finds them all there finds us too, and
// waits until no sink is needed any more.
template <class Atom>
void Scheduler<Atom>::become_teller(Wakes& wakes) noexcept {
  if (wakes.tells) return;
  wakes.tells = true;
  tellers_.fetch_add(1, std::memory_order_relaxed);  // published by giving the credits back
}

template <class Atom>
void Scheduler<Atom>::send(Wakes& wakes) noexcept {
  for (std::uint32_t i = 0; i < wakes.lead_count; ++i) {
    resolver_.ledger.caller_wakes.add();
    Atom::wake(wakes.leads[i]->wait, 1);
  }
  for (std::uint32_t i = 0; i < wakes.assigned; ++i) {
    if (runners_.notify(false)) resolver_.ledger.runner_wakes.add();
  }
  if (wakes.hint && runners_.notify(true)) resolver_.ledger.runner_wakes.add();
  if (wakes.keeper) {
    resolver_.ledger.keeper_wakes.add();
    keeper_.wake();
  }
  wakes.sinks.send();
  if (!wakes.tells) return;
  tellers_.fetch_sub(1, std::memory_order_seq_cst);  // pairs with wait_all_free()
  tell_closer();
}

}  // namespace inferkit
