// The token's work: what was queued becomes batches, and each batch finds a thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "base/atom.h"
#include "batch/batch.h"
#include "batch/lane.h"
#include "batch/policy.h"
#include "batch/request.h"
#include "engine/keeper.h"
#include "engine/lanes.h"
#include "engine/resolver.h"
#include "engine/runner_bay.h"
#include "engine/upkeep.h"
#include "queue/bell.h"
#include "queue/inbox.h"

namespace inferkit {

inline constexpr int kNoLease = -1;

// Longest run, by its 99th percentile, that a blocked caller is asked to do itself: meanwhile it
// sees neither its deadline nor Ctrl-C.
inline constexpr DurationNs kLendLimit = 10 * kMillisecond;

// A run that keeps a lent thread, or an event loop's, for longer is stopped at the model's next
// operator and made again by a runner, so that its caller hears Ctrl-C (docs/adr/0013).
inline constexpr DurationNs kLentAtMost = 50 * kMillisecond;

// On whose behalf the token is taken: it decides which batch the taker may run itself.
template <class Atom>
struct Role {
  enum class Kind : std::uint8_t { none, caller, loop, runner };
  Kind kind = Kind::none;
  const Request<Atom>* caller = nullptr;  // caller: its own request
  const Sink<Atom>* loop = nullptr;       // loop: whose requests it may run
  DurationNs budget = kLendLimit;         // loop: the longest run it may do
  TimeNs now = kNever;                    // if the clock was read just now: a reading takes 25 ns
};

// Inbox, bell, lanes, leases (DESIGN section 2). A lease is the right to run one batch; leases are
// the bits of a mask and double as the index of the batch.
// Threads: ring/finish/push from any. Everything private is the token holder's.
// Owns: lanes and batches. Blocks: never; wakes are sent after the token was let go.
// Throws: the constructor only, std::bad_alloc. A request without heap for its place in a lane is
// ended with out_of_memory; nothing else that the token holder does needs the heap.
template <class Atom>
class Scheduler {
 public:
  using Record = Request<Atom>;

  Scheduler(const BatchLimits& limits, Resolver<Atom>& resolver, const Clock& clock)
      : limits_(limits),
        batches_(limits.instances),
        lanes_(kMaxLanes),
        runners_(limits.instances),
        resolver_(resolver),
        clock_(clock),
        known_free_(all_leases()) {
    free_.store(all_leases(), std::memory_order_relaxed);
    // A member has its credits until its run is over, and a batch no more rows or members without.
    const std::size_t most =
        std::min<std::size_t>(limits.max_rows, resolver.credits.max_requests());
    for (Batch<Atom>& batch : batches_) batch.reserve(most);
  }

  void push(Record* request) noexcept { inbox_.push(request); }

  // Call after anything that may change what should run. Returns a lease whose batch the caller
  // must now run and finish(), or kNoLease.
  [[nodiscard]] int ring(const Role<Atom>& role) noexcept {
    return bell_.ring() ? hold(role) : kNoLease;
  }

  // The batch of `lease` was completed: gives the lease back and rings.
  [[nodiscard]] int finish(int lease, const Role<Atom>& role) noexcept {
    // release: pairs with the acquire of the next take: batch and outcome are written. seq_cst:
    // with tell_closer().
    free_.fetch_or(1U << lease, std::memory_order_seq_cst);
    tell_closer();
    return ring(role);
  }

  [[nodiscard]] Batch<Atom>& batch(int lease) noexcept {
    return batches_[static_cast<std::size_t>(lease)];
  }
  [[nodiscard]] RunnerBay<Atom>& runners() noexcept { return runners_; }
  [[nodiscard]] Keeper<Atom>& keeper() noexcept { return keeper_; }

  // The keeper is to ring every Upkeep::kEvery while it is wanted. Before the first request.
  void watch(const Upkeep& upkeep) noexcept { upkeep_ = &upkeep; }

  // Whom to tell that a lent thread is wanted back; without one its run takes as long as it takes.
  // Before the first request.
  void stop_overruns_of(Backend& backend) noexcept { backend_ = &backend; }

  // A queued request was cancelled or expired by its owner: its tombstone holds a record and a
  // place in its lane. Ring afterwards, once for each: the tombstone may be buried before this,
  // even be in the inbox when the holder looks. relaxed: a count that decides when a sweep pays.
  void note_tombstone() noexcept { tombstones_.fetch_add(1, std::memory_order_relaxed); }

  // From now on whatever is queued is answered with `closed`. Ring afterwards.
  void begin_closing() noexcept { closing_.store(true, std::memory_order_seq_cst); }
  // Blocks until no batch holds a lease and nobody is about to wake a sink, or `until`.
  [[nodiscard]] bool wait_all_free(TimeNs until) noexcept {
    for (;;) {
      // acquire: pairs with tell_closer().
      const std::uint32_t epoch = closer_epoch_.load(std::memory_order_acquire);
      const bool free = free_.load(std::memory_order_seq_cst) == all_leases();
      if (free && tellers_.load(std::memory_order_seq_cst) == 0) return true;
      if (clock_.now() >= until) return false;
      Atom::wait(closer_epoch_, epoch, until);
    }
  }

  // What warm-up measured, and with which size of every open dimension; before the first request.
  void seed(const LatencyTable& table, std::int64_t open_dim) noexcept {
    lanes_.seed(table, open_dim);
    publish(table, table);
  }
  // Whether more requests than instances were in flight of late, and a run takes long enough: then
  // threads that are about to take a batch let those go first whose answers have just been given,
  // or two of them go on by themselves while all others wait for a core (docs/adr/0015).
  [[nodiscard]] bool crowded() const noexcept {
    // relaxed, both: a hint.
    return crowded_.load(std::memory_order_relaxed) && predicted(1) > kWorthGoingLast;
  }
  // How long so many rows take, on an event loop's thread or another; 0: not known.
  [[nodiscard]] DurationNs predicted(std::uint32_t rows, bool on_loop = false) const noexcept {
    const Prediction& known = on_loop ? predicted_on_loop_ : predicted_;
    const DurationNs one = known.one.load(std::memory_order_relaxed);
    const DurationNs full = known.full.load(std::memory_order_relaxed);
    if (limits_.max_rows <= 1) return one;
    const std::uint32_t more = std::max(rows, 1U) - 1;  // no rows run as one
    const double share = static_cast<double>(more) / (limits_.max_rows - 1);
    return one + static_cast<DurationNs>(share * static_cast<double>(full - one));
  }

 private:
  static constexpr int kMaxRounds = 4;
  static constexpr std::uint32_t kCompanyLasts = 16;  // batches of one request, nothing beside them
  // Batches with no more in flight than instances. Who waits for a core gets it after some 3 ms,
  // and is seen then: 50 runs of a model that just is worth it.
  static constexpr std::uint32_t kCrowdLasts = 64;
  static constexpr DurationNs kWorthGoingLast = 20 * kMicrosecond;
  static constexpr std::size_t kMaxLanes = 256;

  // What to do once the token is let go.
  struct Wakes {
    SinkWakes<Atom> sinks;
    Record* leads[4] = {};
    std::uint32_t lead_count = 0;
    std::uint32_t assigned = 0;
    bool hint = false;  // work is left that a runner should look at
    bool keeper = false;
    bool tells = false;  // counted in tellers_
  };

  // After a lease or a teller went. seq_cst, here, in begin_closing(), and where those go and are
  // looked for: either we see that somebody closes, or he sees that they went. His epoch, because
  // a teller that goes between his look and his sleep leaves the leases as they are.
  void tell_closer() noexcept {
    if (!closing_.load(std::memory_order_seq_cst)) return;
    closer_epoch_.fetch_add(1, std::memory_order_release);
    Atom::wake(closer_epoch_, 1 << 30);
  }

  [[nodiscard]] std::uint32_t all_leases() const noexcept {
    return limits_.instances == 32 ? ~0U : (1U << limits_.instances) - 1;
  }

  [[nodiscard]] int hold(const Role<Atom>& role) noexcept;
  [[nodiscard]] TimeNs first_look(const Role<Atom>& role) noexcept;
  void take_in(Wakes& wakes) noexcept;
  void collect_returns(Wakes& wakes) noexcept;
  void take_back(Batch<Atom>& batch, Wakes& wakes) noexcept;
  template <class Enter>
  void enter_or_refuse(std::span<Record* const> requests, Wakes& wakes, Enter&& enter) noexcept;
  void tidy(TimeNs now, Wakes& wakes);
  void expire_running(TimeNs now, Wakes& wakes);
  [[nodiscard]] static TimeNs wanted_back(const Role<Atom>& role, TimeNs now) noexcept;
  void stop_overruns(TimeNs now, Wakes& wakes) noexcept;
  void take_back_stop(Batch<Atom>& batch, std::uint32_t lease) noexcept;
  void dispatch(const Role<Atom>& role, TimeNs now, int& mine, Wakes& wakes);
  [[nodiscard]] std::uint32_t rows_for(const Role<Atom>& role, const Lane<Atom>& lane,
                                       std::uint32_t rows) const noexcept;
  [[nodiscard]] bool goes_on(const Role<Atom>& role, const Lane<Atom>& lane,
                             int mine) const noexcept;
  [[nodiscard]] bool may_take(const Role<Atom>& role, const Lane<Atom>& lane, std::uint32_t rows,
                              TimeNs now) const noexcept;
  [[nodiscard]] bool claim(Lane<Atom>& lane, std::uint32_t rows, std::uint32_t lease, TimeNs now);
  void note_crowd() noexcept;
  [[nodiscard]] bool is_mine(const Role<Atom>& role, const Batch<Atom>& batch) const noexcept;
  void hand_over(std::uint32_t lease, DurationNs predicted, TimeNs now, Wakes& wakes) noexcept;
  void set_alarm(TimeNs now, Wakes& wakes) noexcept;
  [[nodiscard]] TimeNs next_upkeep(TimeNs now) noexcept {
    // Always when nothing runs: it may be the last look for long. And whenever the alarm is due,
    // or the keeper would be told of a time that has passed.
    const bool looks = now >= std::min(upkeep_look_, upkeep_at_) || known_free_ == all_leases();
    if (upkeep_ == nullptr || !looks) return upkeep_at_;
    upkeep_look_ = now + Upkeep::kEvery;
    if (!upkeep_->wanted()) return upkeep_at_ = kNever;
    if (upkeep_at_ <= now || upkeep_at_ == kNever) upkeep_at_ = now + Upkeep::kEvery;
    return upkeep_at_;
  }
  void arm_keeper(TimeNs at, Wakes& wakes) noexcept;
  void become_teller(Wakes& wakes) noexcept;
  void send(Wakes& wakes) noexcept;
  // Of the lane that ran last. relaxed, here and below: hints.
  struct Prediction {
    typename Atom::template Atomic<DurationNs> one{0};
    typename Atom::template Atomic<DurationNs> full{0};
  };
  void publish(const LatencyTable& table, const LatencyTable& on_loop) noexcept {
    const auto tell = [](Prediction& prediction, DurationNs one, DurationNs full) {
      prediction.one.store(one, std::memory_order_relaxed);
      prediction.full.store(full, std::memory_order_relaxed);
    };
    const std::uint32_t rows = limits_.max_rows;
    if (table.measured()) tell(predicted_, table.mean(1), table.mean(rows));
    // What may_take() asks: what a loop is told to keep, and then may not take, would come late.
    if (on_loop.measured()) tell(predicted_on_loop_, on_loop.usual(1), on_loop.usual(rows));
  }

  const BatchLimits limits_;
  std::vector<Batch<Atom>> batches_;
  Lanes<Atom> lanes_;
  RunnerBay<Atom> runners_;
  Keeper<Atom> keeper_;
  Resolver<Atom>& resolver_;
  const Clock& clock_;
  Backend* backend_ = nullptr;

  Inbox<Atom, Record> inbox_;
  Bell<Atom> bell_;
  // Leases not in use. Returned by anyone, taken by the token holder only.
  alignas(kCacheLineBytes) typename Atom::template Atomic<std::uint32_t> free_{0};
  // Noted less buried; below 0 while one is buried whose owner has not noted it yet.
  typename Atom::template Atomic<std::int32_t> tombstones_{0};
  typename Atom::template Atomic<bool> closing_{false};
  typename Atom::template Atomic<std::uint32_t> closer_epoch_{Atom::counts_from()};
  // Threads that ended requests and still have to wake their sinks.
  typename Atom::template Atomic<std::uint32_t> tellers_{0};
  typename Atom::template Atomic<bool> crowded_{false};
  Prediction predicted_;
  Prediction predicted_on_loop_;

  // The token holder's.
  alignas(kCacheLineBytes) std::uint32_t known_free_;  // leases whose return was booked
  std::uint64_t sequence_ = 0;
  std::uint32_t company_ = 0;   // batches until one that is alone may use every core
  std::uint32_t crowd_ = 0;     // batches until there is no crowd any more
  TimeNs wait_until_ = kNever;  // decide() wants to be asked again then
  TimeNs alarm_ = kNever;       // what the keeper was last told
  const Upkeep* upkeep_ = nullptr;
  TimeNs upkeep_at_ = kNever;
  TimeNs upkeep_look_ = 0;  // a busy engine asks whether it is wanted no earlier than this
};

}  // namespace inferkit

#include "engine/scheduler_hold.h"
#include "engine/scheduler_intake.h"
#include "engine/scheduler_time.h"
