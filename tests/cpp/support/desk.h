// A scheduler without threads: the test plays callers, runners and loops itself.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "engine/scheduler.h"
#include "support/records.h"
#include "support/views.h"
#include "testing/fake_clock.h"

namespace inferkit::testing {

// Owns: everything. Time stands still until advanced.
class Desk {
 public:
  using Kind = Role<StdAtom>::Kind;

  explicit Desk(const BatchLimits& limits = {})
      : resolver(256, 1 << 20, 64), scheduler(limits, resolver, clock) {}

  // Accepted and in the inbox; nobody has rung.
  [[nodiscard]] Record* queue(const Wish& wish = {}) {
    static_cast<void>(resolver.credits.take(0));
    Record* record = resolver.slab.take();
    record->rows = wish.rows;
    record->priority = wish.priority;
    record->arrival = clock.now();
    record->deadline = wish.deadline;
    record->sink = wish.sink;
    const TensorView input = bare(DType::float32, {wish.rows, wish.dim});
    static_cast<void>(record->lane_dims.assign(signature_, {&input, 1}));
    record->lane_hash = static_cast<std::uint64_t>(wish.dim);
    record->lane = nullptr;
    record->charged_bytes = 0;
    record->open();
    scheduler.push(record);
    return record;
  }
  [[nodiscard]] std::vector<Record*> queue_many(int count, const Wish& wish) {
    std::vector<Record*> records;
    for (int i = 0; i < count; ++i) records.push_back(queue(wish));
    return records;
  }

  [[nodiscard]] int ring() noexcept { return scheduler.ring({}); }
  [[nodiscard]] int ring_as_runner() noexcept { return scheduler.ring(runner()); }
  [[nodiscard]] int ring_as_caller(const Record* record, TimeNs now = kNever) noexcept {
    Role<StdAtom> role;
    role.now = now;
    role.kind = Kind::caller;
    role.caller = record;
    return scheduler.ring(role);
  }
  [[nodiscard]] int ring_as_loop(const Sink<StdAtom>* sink, DurationNs budget) noexcept {
    return scheduler.ring(loop(sink, budget));
  }
  // The batch was answered.
  [[nodiscard]] int finish_as_loop(int lease, const Sink<StdAtom>* sink,
                                   DurationNs budget) noexcept {
    return scheduler.finish(lease, loop(sink, budget));
  }
  [[nodiscard]] static Role<StdAtom> loop(const Sink<StdAtom>* sink, DurationNs budget) noexcept {
    Role<StdAtom> role;
    role.kind = Kind::loop;
    role.loop = sink;
    role.budget = budget;
    return role;
  }
  [[nodiscard]] static Role<StdAtom> runner() noexcept {
    Role<StdAtom> role;
    role.kind = Kind::runner;
    return role;
  }

  [[nodiscard]] const std::vector<Record*>& members(int lease) {
    return scheduler.batch(lease).members;
  }
  // The batch ran for `took`; nobody is there to run what is next.
  void answer(int lease, DurationNs took = kMillisecond) {
    scheduler.batch(lease).took = took;
    resolver.answer(scheduler.batch(lease), {}, nullptr);
    static_cast<void>(scheduler.finish(lease, {}));
  }
  // The batch failed: these groups of its members are to run again.
  void split(int lease, const std::vector<std::vector<Record*>>& groups) {
    Batch<StdAtom>& batch = scheduler.batch(lease);
    for (Record* record : batch.members) {
      static_cast<void>(record->move(RequestState::claimed, RequestState::queued));
    }
    batch.members.clear();
    batch.took = 0;
    for (const std::vector<Record*>& group : groups) {
      for (Record* record : group) batch.retries.add(record);
      batch.retries.end_group();
    }
    static_cast<void>(scheduler.finish(lease, {}));
  }
  // As the sleeping caller would.
  static void park(Record* record) {
    record->wait.store(static_cast<std::uint32_t>(WaitWord::parked));
  }
  [[nodiscard]] static WaitWord word_of(const Record* record) {
    return static_cast<WaitWord>(record->wait.load());
  }
  // So that every lane knows how long a batch takes: as long as this, whatever its size.
  void measured(DurationNs took) {
    LatencyTable table;
    for (std::uint32_t rows = 1; rows <= 64; rows *= 2) {
      for (int i = 0; i < 8; ++i) table.record(rows, took);
    }
    scheduler.seed(table, 8);
  }

  FakeClock clock;
  Resolver<StdAtom> resolver;
  Scheduler<StdAtom> scheduler;

 private:
  Signature signature_ = signature_of({spec_of("x", DType::float32, {-1, -1})},
                                      {spec_of("y", DType::float32, {-1, -1})});
};

}  // namespace inferkit::testing
