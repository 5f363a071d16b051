#include "engine/resolver.h"

#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "base/heap_count.h"
#include "memory/host_resource.h"
#include "memory/tensor_pool.h"
#include "support/records.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using State = RequestState;
using Wakes = SinkWakes<StdAtom>;

// Accepted requests as the scheduler and the callers would have left them; nobody runs anything.
class Office {
 public:
  static constexpr std::uint64_t kBytes = 64;  // of each

  [[nodiscard]] Record* queued(Sink<StdAtom>* sink = nullptr) {
    static_cast<void>(resolver.credits.take(kBytes));
    Record* record = resolver.slab.take();
    record->rows = 1;
    record->sink = sink;
    record->charged_bytes = kBytes;
    record->payload = pool->allocate(kBytes);
    record->open();
    return record;
  }
  [[nodiscard]] Record* running(Sink<StdAtom>* sink = nullptr) {
    Record* record = queued(sink);
    REQUIRE(record->move(State::queued, State::claimed));
    return record;
  }
  // Its caller sleeps.
  [[nodiscard]] static Record* parked(Record* record) {
    record->wait.store(static_cast<std::uint32_t>(WaitWord::parked));
    return record;
  }
  void answer(std::vector<Record*> members, const Sink<StdAtom>* awake = nullptr) {
    Batch<StdAtom> batch;
    batch.members = std::move(members);
    resolver.answer(batch, {}, awake);
    CHECK(batch.members.empty());
  }
  // The callers took their answers: nothing is left of any of them.
  void let_go(const std::vector<Record*>& records) {
    for (Record* record : records) resolver.slab.release(record);
    CHECK(resolver.slab.count_in_flight() == 0);
    CHECK(resolver.credits.requests() == 0);
    CHECK(pool->stats().blocks_in_use == 0);
  }
  [[nodiscard]] std::uint64_t counted(State state) const {
    const auto& ledger = resolver.ledger;
    return state == State::cancelled ? ledger.cancelled.get()
           : state == State::expired ? ledger.expired.get()
                                     : ledger.closed.get();
  }

  PoolRef pool = TensorPool::create(host_resource(), 1 << 20);
  Resolver<StdAtom> resolver{32, 1 << 20, 64};
};

constexpr std::array kEnds = {State::cancelled, State::expired, State::closed};

TEST_CASE("resolver: who drops a queued request ends it, counts it and tells its sink, once") {
  for (const State end : kEnds) {
    Office office;
    CountingSink sink;
    Record* record = office.queued(&sink);
    Wakes wakes;
    CHECK(office.resolver.drop(record, end, wakes));
    CHECK(record->state() == end);
    CHECK(office.pool->stats().blocks_in_use == 0);  // nobody will read it
    CHECK_FALSE(office.resolver.drop(record, State::closed, wakes));
    CHECK(office.counted(end) == 1);
    for (const State other : kEnds) CHECK(office.counted(other) == (other == end ? 1 : 0));
    CHECK(sink.wakes == 0);  // what is at hand is done first
    wakes.send();
    wakes.send();
    CHECK(sink.wakes == 1);
    CHECK(sink.answers.drain() == record);
    office.resolver.bury(record);
    office.let_go({record});
  }
}

TEST_CASE("resolver: a blocked caller is woken if it sleeps, and only then") {
  for (const bool sleeps : {true, false}) {
    Office office;
    Record* record = office.queued();
    if (sleeps) static_cast<void>(Office::parked(record));
    Wakes wakes;
    CHECK(office.resolver.drop(record, State::expired, wakes));
    CHECK(record->wait.load() == static_cast<std::uint32_t>(WaitWord::done));
    CHECK(office.resolver.ledger.caller_wakes.get() == (sleeps ? 1 : 0));
    office.resolver.bury(record);
    office.let_go({record});
  }
}

TEST_CASE("resolver: a sink of several is woken once; of many sinks none is forgotten") {
  Office office;
  std::array<CountingSink, 9> sinks;  // one more than can be put off
  std::vector<Record*> records;
  Wakes wakes;
  for (CountingSink& sink : sinks) {
    for (int i = 0; i < 3; ++i) {
      records.push_back(office.queued(&sink));
      if (i == 2) static_cast<void>(sink.answers.drain());  // it looked in between
      CHECK(office.resolver.drop(records.back(), State::closed, wakes));
      office.resolver.bury(records.back());
    }
  }
  for (std::size_t i = 0; i < 8; ++i) CHECK(sinks[i].wakes == 0);
  CHECK(sinks[8].wakes == 2);
  wakes.send();
  for (std::size_t i = 0; i < 8; ++i) CHECK(sinks[i].wakes == 1);
  CHECK(office.resolver.ledger.sink_wakes.get() == 10);
  office.let_go(records);
}

TEST_CASE("resolver: what runs expires by its handle, unless it ended or is another by now") {
  Office office;
  CountingSink sink;
  Record* record = office.running(&sink);
  const Handle handle = record->handle();
  Wakes wakes;
  office.resolver.expire_running({handle.index, handle.generation + 1}, wakes);
  CHECK(record->state() == State::claimed);
  office.resolver.expire_running(handle, wakes);
  CHECK(record->state() == State::expired);
  office.resolver.expire_running(handle, wakes);
  CHECK(office.counted(State::expired) == 1);
  wakes.send();
  CHECK(sink.wakes == 1);
  office.answer({record});  // the run goes on, and nobody takes its result
  CHECK(office.resolver.ledger.answered.get() == 0);
  office.let_go({record});
}

TEST_CASE("resolver: who leaves takes back what is queued, what runs only if it insists") {
  Office office;
  bool was_queued = false;
  Record* waiting = office.queued();
  CHECK(office.resolver.leave(waiting, State::cancelled, false, was_queued));
  CHECK(was_queued);
  CHECK(office.pool->stats().blocks_in_use == 0);
  office.resolver.bury(waiting);

  Record* running = office.running();
  CHECK_FALSE(office.resolver.leave(running, State::cancelled, false, was_queued));
  CHECK_FALSE(was_queued);
  CHECK(running->state() == State::claimed);
  CHECK(office.resolver.leave(running, State::cancelled, true, was_queued));
  CHECK_FALSE(was_queued);
  CHECK(office.pool->stats().blocks_in_use == 1);  // the run still reads it
  CHECK_FALSE(office.resolver.leave(running, State::cancelled, true, was_queued));
  CHECK(office.counted(State::cancelled) == 2);
  office.resolver.bury_after_run(running);
  office.let_go({waiting, running});
}

TEST_CASE(
    "resolver: an answered batch tells sinks but the one that is awake, and wakes two chains") {
  Office office;
  CountingSink asleep;
  CountingSink awake;
  std::vector<Record*> members;
  for (int i = 0; i < 3; ++i) members.push_back(Office::parked(office.running()));
  members.push_back(office.running());  // looks for itself
  for (CountingSink* sink : {&asleep, &asleep, &awake}) members.push_back(office.running(sink));
  Record* gone = office.running(&asleep);
  bool was_queued = false;
  CHECK(office.resolver.leave(gone, State::cancelled, true, was_queued));
  members.push_back(gone);
  office.answer(members, &awake);
  CHECK(office.resolver.ledger.answered.get() == 7);
  CHECK(asleep.wakes == 1);
  CHECK(awake.wakes == 0);
  CHECK(awake.answers.drain() == members[6]);
  for (std::uint32_t i = 0; i < 7; ++i) CHECK(members[i]->first_row == i);
  // Of three that sleep two are woken here; the third is behind the first.
  CHECK(office.resolver.ledger.caller_wakes.get() == 2);
  CHECK(members[2]->wake_next == members[0]);
  office.resolver.wake_next_of(*members[2]);
  CHECK(office.resolver.ledger.caller_wakes.get() == 3);
  office.resolver.wake_next_of(*members[0]);
  CHECK(office.resolver.ledger.caller_wakes.get() == 3);
  office.let_go(members);
}

TEST_CASE("resolver: a failed batch gives all the same error, which lasts as long as any of them") {
  Office office;
  Batch<StdAtom> batch;
  batch.members = {office.running(), office.running()};
  const std::vector<Record*> members = batch.members;
  office.resolver.fail(batch, office.resolver.share(ErrorCode::backend, "planned"), nullptr);
  CHECK(members[0]->error == members[1]->error);
  CHECK(office.resolver.ledger.failed.get() == 2);
  const std::weak_ptr<const Error> error = members[0]->error;
  for (Record* record : members) {
    CHECK(record->state() == State::failed);
    REQUIRE(record->error != nullptr);
    CHECK(record->error->message() == "planned");
    office.resolver.slab.release(record);
    CHECK(error.expired() == (record == members[1]));
  }
  office.let_go({});
}

TEST_CASE("resolver: who finds no heap for its place in the queue fails, unless it left before") {
  Office office;
  CountingSink sink;
  Record* refused = office.queued(&sink);
  Wakes wakes;
  CHECK(office.resolver.refuse(refused, wakes));
  CHECK(refused->state() == State::failed);
  CHECK(refused->error == office.resolver.no_memory());
  CHECK(refused->error->code() == ErrorCode::out_of_memory);
  CHECK(office.pool->stats().blocks_in_use == 0);
  wakes.send();
  CHECK(sink.wakes == 1);
  CHECK(sink.answers.drain() == refused);

  Record* gone = office.queued();
  bool was_queued = false;
  CHECK(office.resolver.leave(gone, State::cancelled, false, was_queued));
  CHECK_FALSE(office.resolver.refuse(gone, wakes));
  CHECK(gone->state() == State::cancelled);
  CHECK(office.resolver.ledger.failed.get() == 1);
  for (Record* record : {refused, gone}) office.resolver.bury(record);
  office.let_go({refused, gone});
}

TEST_CASE("resolver: without heap for an error that one is told") {
  Office office;
  const Error cause(ErrorCode::backend, "too long to lie within the string that holds it", 7);
  CHECK(office.resolver.share(cause)->message() == cause.message());
  CHECK(office.resolver.share(cause)->backend_code() == 7);
  for (const std::uint64_t nth : {1, 2}) {  // the error, its message
    const HeapShortage shortage(nth, HeapShortage::Lasts::once);
    const SharedError told = exposed([&] { return office.resolver.share(cause); });
    CHECK(told == office.resolver.no_memory());
    CHECK(shortage.refused() == 1);
  }
}

TEST_CASE("resolver: what its parts gave goes with the request, not with its tombstone") {
  for (const bool runs : {false, true}) {
    Office office;
    Record* record = office.queued();
    record->parts = std::make_unique<Parts>(8, 4);
    const TensorView rows = bare(DType::float32, {4, 1});
    const ResultRef part = ResultRef::adopt(BatchResult::create(*office.pool, {&rows, 1}));
    part->outputs()[0].view.shape = shape_of({4, 1});
    record->parts->take(*part, 0, 4, *office.pool);
    CHECK(office.pool->stats().blocks_in_use == 3);  // the inputs, this part, and all
    if (runs) REQUIRE(record->move(State::queued, State::claimed));
    bool was_queued = false;
    CHECK(office.resolver.leave(record, State::cancelled, true, was_queued));
    CHECK(office.pool->stats().blocks_in_use == (runs ? 3 : 1));  // a run reads and writes them
    CHECK(record->rows_left() == 4);                              // its lane counts on
    if (runs) {
      office.resolver.bury_after_run(record);
      CHECK(office.pool->stats().blocks_in_use == 1);
    } else {
      office.resolver.bury(record);
    }
    CHECK(record->parts != nullptr);  // whoever ended it may be emptying them at this moment
    office.resolver.slab.release(record);
    CHECK(office.resolver.credits.requests() == 0);
  }
}

TEST_CASE("resolver: who waits for memory is told when a record goes back, and nobody else is") {
  Office office;
  int hooked = 0;
  office.resolver.room_hook = [&hooked] { ++hooked; };
  Record* first = office.running();
  Record* second = office.running();
  office.answer({first, second});
  CHECK(office.resolver.is_busy());  // nothing is in flight, but answers wait to be taken
  office.resolver.release(first);
  CHECK(hooked == 0);
  const std::uint32_t epoch = office.resolver.credits.epoch();
  office.resolver.credits.announce();
  office.resolver.release(second);
  CHECK(hooked == 1);
  CHECK(office.resolver.credits.epoch() != epoch);
  CHECK_FALSE(office.resolver.is_busy());
  office.resolver.memory_made();
  CHECK(hooked == 1);
}

TEST_CASE("resolver: room is told to those who announced that they wait for it, and to the hook") {
  for (const bool hooked : {false, true}) {
    Office office;
    int told = 0;
    if (hooked) office.resolver.room_hook = [&] { ++told; };
    std::vector<Record*> records;
    for (int i = 0; i < 32; ++i) records.push_back(office.running());
    const std::uint32_t epoch = office.resolver.credits.epoch();
    office.answer({records[0]});
    CHECK(office.resolver.credits.epoch() == epoch);  // nobody asked
    CHECK(office.resolver.credits.take(64) == Credits<StdAtom>::Take::taken);
    CHECK(office.resolver.credits.take_or_announce(64) == Credits<StdAtom>::Take::full);
    office.answer({records.begin() + 1, records.end()});
    CHECK(office.resolver.credits.epoch() == epoch + 1);
    CHECK(told == (hooked ? 1 : 0));
    static_cast<void>(office.resolver.credits.give(64));
    office.let_go(records);
  }
}

}  // namespace
