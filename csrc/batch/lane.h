// The requests of one compatibility class, in the order they should run.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "batch/latency_table.h"
#include "batch/policy.h"
#include "batch/request.h"

namespace inferkit {

// Requests with equal open dimensions, which may ride together. A heap by Order; requests that
// were cancelled or expired stay as tombstones until they are met or swept.
// Threads: the token holder's private matter. Owns: nothing; records are counted as queue side.
// Throws: what puts a request in, std::bad_alloc; the lane is then as if nobody had come.
template <class Atom>
class Lane {
 public:
  using Record = Request<Atom>;

  // `quiet`: what warm-up measured, if it did; it outlives the lane, whose live table starts as it.
  explicit Lane(const Record& first, const LatencyTable* quiet = nullptr)
      : latency(quiet == nullptr ? LatencyTable() : *quiet),
        on_loop(latency),
        quiet_(quiet),
        hash_(first.lane_hash),
        dims_(first.lane_dims.view().begin(), first.lane_dims.view().end()) {}

  [[nodiscard]] bool takes(const Record& request) const noexcept {
    const auto dims = request.lane_dims.view();
    return request.lane_hash == hash_ &&
           std::equal(dims.begin(), dims.end(), dims_.begin(), dims_.end());
  }

  void push(Record* request, std::uint64_t sequence) {
    note_arrival(request->arrival);
    insert(request, order_of(request->priority, request->arrival, request->deadline, sequence));
  }

  // One that came before and has parts to run yet: as if it came now, and had no deadline, for it
  // must not go before others again and again. The deadline ends it all the same. So it goes behind
  // what came meanwhile, and behind what comes in the same second and has a deadline.
  void put_back(Record* request, std::uint64_t sequence, TimeNs now) {
    insert(request, order_of(request->priority, now, kNever, sequence));
  }

  // Those at the front whose deadline comes before a run begun now would end go behind all others:
  // a run for them would be in vain, and under load nothing but such runs might be made. They still
  // run where nothing else is to do. Not in a lane that had no batch of late: what is expected of
  // its runs may be wrong, and nothing but a run can tell.
  void put_hopeless_behind(std::uint32_t batch_rows, TimeNs now) {
    if (now - last_batch_ >= kAgeingStep) return;
    while (!entries_.empty() && entries_.front().order.deadline != kNever) {
      Entry& last = entries_.back();
      const TimeNs ends = now + latency.mean(std::min(rows_, batch_rows));
      if (entries_.front().order.deadline >= ends || entries_.front().order.rank == kBehind) return;
      std::pop_heap(entries_.begin(), entries_.end(), later);
      last.order.rank = last.order.behind = kBehind;
      std::push_heap(entries_.begin(), entries_.end(), later);
    }
  }

  // A batch that failed comes back as smaller groups, which run as they are and as if they came
  // now: other lanes run in between. In this lane every second batch is one of them all the same,
  // for mates of a bad request must not wait for the whole line once more.
  void push_retry(std::vector<Record*> group, std::uint64_t sequence, TimeNs now) {
    Order order{.rank = INT64_MAX, .sequence = sequence};
    for (const Record* request : group) {
      order = std::min(order, order_of(request->priority, now, request->deadline, sequence));
    }
    const auto after = [](const Order& a, const Retry& b) { return a < b.order; };
    const auto at = std::upper_bound(retries_.begin(), retries_.end(), order, after);
    const auto added = retries_.insert(at, Retry{order, std::move(group)});  // first: it may throw
    for (const Record* request : added->group) {
      rows_ += request->rows_left();
      if (request->sink == nullptr) ++callers_;
    }
    find_deadlines();
  }

  // A batch of so many rows, of several requests, found no memory: for a while they get half.
  void note_out_of_memory(std::uint32_t rows, TimeNs now) noexcept {
    ceiling_rows_ = std::min(ceiling_rows_, std::max(1U, rows / 2));
    ceiling_until_ = now + kCeilingLasts;
  }

  // Takes the next request off the heap; null when `budget` rows do not hold it (the first of a
  // batch is always held). The caller claims it or buries it.
  [[nodiscard]] Record* pop_within(std::uint32_t budget, bool first) {
    if (entries_.empty()) return nullptr;
    Record* request = entries_.front().request;
    if (!first && request->next_rows() > budget) return nullptr;
    retry_turn_ = true;
    std::pop_heap(entries_.begin(), entries_.end(), later);
    entries_.pop_back();
    forget(request);
    return request;
  }

  // Before each batch is taken: the load fades by an eighth with every one.
  void note_load(TimeNs now) noexcept {
    last_batch_ = now;
    load_rows_ = std::max(rows_ + running_rows, load_rows_ - (load_rows_ + 7) / 8);
  }

  // Whose answer the next batch will certainly hold; null for a blocked caller or a retry.
  [[nodiscard]] const void* front_sink() const noexcept {
    return takes_retry() || entries_.empty() ? nullptr : entries_.front().request->sink;
  }
  // Of the first request, which every batch takes; 0 where a group that runs again comes first.
  [[nodiscard]] std::uint32_t front_rows() const noexcept {
    return takes_retry() || entries_.empty() ? 0 : entries_.front().request->next_rows();
  }
  // Whether the next batch is what pop_retry() gives, and not what pop_within() does.
  [[nodiscard]] bool takes_retry() const noexcept {
    if (retries_.empty() || entries_.empty()) return !retries_.empty();
    return retry_turn_ || retries_.front().order < entries_.front().order;
  }
  [[nodiscard]] std::vector<Record*> pop_retry() {
    std::vector<Record*> group = std::move(retries_.front().group);
    retries_.pop_front();
    retry_turn_ = false;
    for (const Record* request : group) forget(request);
    return group;
  }

  // Removes every request that `leaves`, then hands it to `bury`.
  template <class Leaves, class Bury>
  void sweep(Leaves&& leaves, Bury&& bury) {
    const auto gone = [&](Record* request) {
      if (!leaves(request)) return false;
      forget(request);
      bury(request);  // last: the record may be recycled in here
      return true;
    };
    std::erase_if(entries_, [&](const Entry& entry) { return gone(entry.request); });
    std::make_heap(entries_.begin(), entries_.end(), later);
    for (Retry& retry : retries_) std::erase_if(retry.group, gone);
    std::erase_if(retries_, [](const Retry& retry) { return retry.group.empty(); });
    find_deadlines();
  }

  [[nodiscard]] bool empty() const noexcept { return entries_.empty() && retries_.empty(); }
  [[nodiscard]] std::uint32_t rows() const noexcept { return rows_; }  // queued
  [[nodiscard]] std::size_t requests() const noexcept {
    std::size_t count = entries_.size();
    for (const Retry& retry : retries_) count += retry.group.size();
    return count;
  }
  [[nodiscard]] TimeNs earliest_deadline() const noexcept { return earliest_deadline_; }
  // Earliest deadline among those that cannot time themselves: they have no thread asleep.
  [[nodiscard]] TimeNs kept_deadline() const noexcept { return kept_deadline_; }
  // Requests whose callers block, and so could lend their thread.
  [[nodiscard]] std::uint32_t callers() const noexcept { return callers_; }

  // `may_wait`: somebody asks for the oldest arrival, which takes a look at every request.
  [[nodiscard]] LaneState state(bool may_wait, TimeNs now) noexcept {
    LaneState state;
    state.rows = rows_;
    state.load_rows = std::max(load_rows_, rows_ + running_rows);
    if (now >= ceiling_until_) ceiling_rows_ = UINT32_MAX;
    state.ceiling_rows = ceiling_rows_;
    state.running = running != 0;
    state.latency = &latency;
    state.quiet = quiet_;
    state.arrival_gap = arrivals_ < 2 ? kNever : static_cast<DurationNs>(gap_);
    state.earliest_deadline = earliest_deadline_;
    if (!entries_.empty()) {
      state.head = entries_.front().order;
      state.head_rows = entries_.front().request->next_rows();
      state.oldest_arrival = entries_.front().request->arrival;
      if (may_wait) {  // who goes first need not have come first
        for (const Entry& entry : entries_) {
          state.oldest_arrival = std::min(state.oldest_arrival, entry.request->arrival);
        }
      }
    }
    if (!retries_.empty()) {
      const Order& retry = retries_.front().order;
      state.head = entries_.empty() ? retry : std::min(retry, state.head);
      if (takes_retry()) state.head_rows = 0;
      state.oldest_arrival = 0;  // waited once already: nothing to wait for
    }
    return state;
  }

  // Of a run that was `on_a_loop`, or elsewhere.
  void learn(std::uint32_t rows, DurationNs took, bool on_a_loop) noexcept {
    latency.record(rows, took);
    // A loop that runs nothing learns from others that took less than it thinks it might.
    if (on_a_loop || !on_loop.measured() || took < on_loop.usual(rows)) on_loop.record(rows, took);
  }

  LatencyTable latency;
  LatencyTable on_loop;  // of a thread that is awake: woken for it, a run may take twice as long
  std::uint32_t running = 0;       // batches of this lane that hold a lease
  std::uint32_t running_rows = 0;  // of these
  std::uint64_t last_used = 0;     // for eviction

 private:
  static constexpr DurationNs kCeilingLasts = 60 * kSecond;
  static constexpr std::int64_t kBehind = INT64_MAX;

  struct Entry {
    Order order;
    Record* request;
  };
  struct Retry {
    Order order;
    std::vector<Record*> group;
  };
  [[nodiscard]] static bool later(const Entry& a, const Entry& b) noexcept {
    return b.order < a.order;
  }

  void insert(Record* request, Order order) {
    entries_.push_back({order, request});  // first: it may throw
    request->lane = this;
    std::push_heap(entries_.begin(), entries_.end(), later);
    rows_ += request->rows_left();
    earliest_deadline_ = std::min(earliest_deadline_, request->deadline);
    if (request->sink == nullptr) {
      ++callers_;
    } else {
      kept_deadline_ = std::min(kept_deadline_, request->deadline);
    }
  }

  void forget(const Record* request) noexcept {
    rows_ -= request->rows_left();
    if (request->sink == nullptr) --callers_;
    if (empty()) earliest_deadline_ = kept_deadline_ = kNever;
  }

  void find_deadlines() noexcept {
    earliest_deadline_ = kept_deadline_ = kNever;
    const auto note = [this](const Record* request) {
      earliest_deadline_ = std::min(earliest_deadline_, request->deadline);
      if (request->sink != nullptr) kept_deadline_ = std::min(kept_deadline_, request->deadline);
    };
    for (const Entry& entry : entries_) note(entry.request);
    for (const Retry& retry : retries_) {
      std::for_each(retry.group.begin(), retry.group.end(), note);
    }
  }

  void note_arrival(TimeNs arrival) noexcept {
    const auto gap = static_cast<double>(std::max<DurationNs>(0, arrival - last_arrival_));
    if (arrivals_ > 0) gap_ += (gap - gap_) / (arrivals_ == 1 ? 1.0 : 8.0);
    arrivals_ = std::min(arrivals_ + 1, 2U);
    last_arrival_ = arrival;
  }

  const LatencyTable* quiet_;
  std::uint64_t hash_;
  std::vector<std::int64_t> dims_;
  std::vector<Entry> entries_;
  std::deque<Retry> retries_;
  bool retry_turn_ = false;  // the last batch was none, or there was none
  std::uint32_t rows_ = 0;
  std::uint32_t callers_ = 0;
  std::uint32_t load_rows_ = 0;
  std::uint32_t ceiling_rows_ = UINT32_MAX;
  TimeNs ceiling_until_ = 0;
  TimeNs earliest_deadline_ = kNever;
  TimeNs kept_deadline_ = kNever;
  TimeNs last_arrival_ = 0;
  TimeNs last_batch_ = -kAgeingStep;
  double gap_ = 0;
  std::uint32_t arrivals_ = 0;
};

}  // namespace inferkit
