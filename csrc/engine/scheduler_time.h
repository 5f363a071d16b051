// What the token holder does by the clock; included by scheduler.h only.
#pragma once

#include "base/failpoint.h"
#include "engine/scheduler.h"

namespace inferkit {

template <class Atom>
void Scheduler<Atom>::expire_running(TimeNs now, Wakes& wakes) {
  for (std::uint32_t taken = all_leases() & ~known_free_; taken != 0; taken &= taken - 1) {
    auto& deadlines = batches_[static_cast<std::size_t>(__builtin_ctz(taken))].deadlines;
    std::erase_if(deadlines, [&](const typename Batch<Atom>::Deadline& deadline) {
      if (deadline.at > now) return false;
      become_teller(wakes);
      resolver_.expire_running(deadline.handle, wakes.sinks);
      return true;
    });
  }
}

template <class Atom>
TimeNs Scheduler<Atom>::wanted_back(const Role<Atom>& role, TimeNs now) noexcept {
  using Kind = typename Role<Atom>::Kind;
  if (role.kind == Kind::runner) return kNever;
  const TimeNs deadline = role.kind == Kind::caller ? role.caller->deadline : kNever;
  return std::min(now + kLentAtMost, deadline);
}

// Takes the lender out of a run that was expected to be over by now; a runner makes it again.
template <class Atom>
void Scheduler<Atom>::stop_overruns(TimeNs now, Wakes& wakes) noexcept {
  if (backend_ == nullptr) return;
  for (std::uint32_t taken = all_leases() & ~known_free_; taken != 0; taken &= taken - 1) {
    const auto lease = static_cast<std::uint32_t>(__builtin_ctz(taken));
    Batch<Atom>& batch = batches_[lease];
    const bool lent = batch.stop_at != kNever;
    if (!lent || (batch.stop_at > now && !INFERKIT_FAILS("scheduler.overrun"))) continue;
    batch.stop_at = kNever;
    // Who closes drops the model once no lease is out and nobody tells. seq_cst: either he finds us
    // telling and waits, or we find the lease that he has found.
    if (!std::exchange(wakes.tells, true)) tellers_.fetch_add(1, std::memory_order_seq_cst);
    if ((free_.load(std::memory_order_seq_cst) & 1U << lease) != 0) continue;
    batch.was_stopped = true;
    backend_->stop_run(lease);
  }
}

// Nothing runs on the lease.
template <class Atom>
void Scheduler<Atom>::take_back_stop(Batch<Atom>& batch, std::uint32_t lease) noexcept {
  batch.was_stopped = false;
  backend_->resume_runs(lease);
}

template <class Atom>
void Scheduler<Atom>::set_alarm(TimeNs now, Wakes& wakes) noexcept {
  TimeNs at = std::min(wait_until_, next_upkeep(now));
  lanes_.for_each([&](const Lane<Atom>& lane) { at = std::min(at, lane.kept_deadline()); });
  for (std::uint32_t taken = all_leases() & ~known_free_; taken != 0; taken &= taken - 1) {
    const Batch<Atom>& batch = batches_[static_cast<std::size_t>(__builtin_ctz(taken))];
    if (backend_ != nullptr) at = std::min(at, batch.stop_at);
    for (const auto& deadline : batch.deadlines) at = std::min(at, deadline.at);
  }
  // An alarm that rings too early costs one look; one that is late would break a promise.
  if (alarm_ <= now) alarm_ = kNever;  // it has rung
  if (at < alarm_) arm_keeper(at, wakes);
}

template <class Atom>
void Scheduler<Atom>::arm_keeper(TimeNs at, Wakes& wakes) noexcept {
  alarm_ = at;
  wakes.keeper |= keeper_.arm(at);
}

}  // namespace inferkit
