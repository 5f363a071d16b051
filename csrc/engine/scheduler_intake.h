// What comes to the token holder: new requests and finished batches; included by scheduler.h only.
#pragma once

#include "base/failpoint.h"
#include "engine/scheduler.h"

namespace inferkit {

template <class Atom>
void Scheduler<Atom>::take_in(Wakes& wakes) noexcept {
  for (Record* request = inbox_.drain(); request != nullptr;) {
    Record* next = request->next;  // read first: `next` is the mailbox's once somebody resolves it
    enter_or_refuse({&request, 1}, wakes, [&] { lanes_.of(*request).push(request, sequence_++); });
    request = next;
  }
}

template <class Atom>
void Scheduler<Atom>::collect_returns(Wakes& wakes) noexcept {
  // acquire: pairs with finish(); the batch is ours again.
  std::uint32_t returned = free_.load(std::memory_order_acquire) & ~known_free_;
  known_free_ |= returned;
  for (; returned != 0; returned &= returned - 1) {
    Batch<Atom>& batch = batches_[static_cast<std::size_t>(__builtin_ctz(returned))];
    --batch.lane->running;
    batch.lane->running_rows -= batch.rows;
    if (batch.took > 0) {
      batch.lane->learn(batch.rows, batch.took, batch.on_a_loop);
      publish(batch.lane->latency, batch.lane->on_loop);
    }
    if (!batch.retries.empty() || !batch.unfinished.empty()) take_back(batch, wakes);
    batch.clear();
  }
}

// What a batch did not finish.
template <class Atom>
void Scheduler<Atom>::take_back(Batch<Atom>& batch, Wakes& wakes) noexcept {
  const TimeNs now = clock_.now();
  Lane<Atom>& lane = *batch.lane;
  // Not of a request that was alone: others need less.
  if (batch.ran_out_of_memory && !batch.retries.empty()) lane.note_out_of_memory(batch.rows, now);
  batch.retries.each([&](std::span<Record* const> group) {
    enter_or_refuse(group, wakes,
                    [&] { lane.push_retry({group.begin(), group.end()}, sequence_++, now); });
  });
  for (Record* request : batch.unfinished) {
    enter_or_refuse({&request, 1}, wakes, [&] { lane.put_back(request, sequence_++, now); });
  }
}

// `enter` puts them into a lane. Without heap for that they end, as who is expired would.
template <class Atom>
template <class Enter>
void Scheduler<Atom>::enter_or_refuse(std::span<Record* const> requests, Wakes& wakes,
                                      Enter&& enter) noexcept try {
  INFERKIT_FAILPOINT("scheduler.enters");
  enter();
} catch (const std::bad_alloc&) {
  become_teller(wakes);
  for (Record* request : requests) {
    // relaxed: see note_tombstone().
    if (!resolver_.refuse(request, wakes.sinks))
      tombstones_.fetch_sub(1, std::memory_order_relaxed);
    resolver_.bury(request);
  }
}

}  // namespace inferkit
