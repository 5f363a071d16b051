// Scheduler, resolver, executor, callers, runners and keeper together.
#include "explorer/service.h"

namespace inferkit::testing {
namespace {

explorer::MakeProgram two_block() {
  using Two = Service<2>;
  return program<Two>({[](Two& s) { s.block_for(0); }, [](Two& s) { s.block_for(1); },
                       [](Two& s) { s.run_batches(); }},
                      [](Two& s) { s.check(); });
}

explorer::MakeProgram one_blocks_one_is_told() {
  using Two = Service<2>;
  return program<Two>({[](Two& s) { s.block_for(0); },
                       [](Two& s) {
                         static_cast<void>(s.send(1));
                         s.take_answers(1);
                       },
                       [](Two& s) { s.run_batches(); }},
                      [](Two& s) { s.check(); });
}

explorer::MakeProgram deadlines() {
  using Two = Service<2>;
  return program<Two>({[](Two& s) { s.block_for(0, s.clock.now() + kSecond); },
                       [](Two& s) {
                         static_cast<void>(s.send(1, s.clock.now() + kSecond));
                         s.take_answers(1);
                       },
                       [](Two& s) { s.run_batches(); }, [](Two& s) { s.keep_time(); }},
                      [](Two& s) { s.check(); });
}

explorer::MakeProgram only_the_keeper() {
  using One = Service<1>;
  return program<One>({[](One& s) {
                         static_cast<void>(s.send(0, s.clock.now() + kSecond));
                         s.take_answers(1);
                       },
                       [](One& s) { s.keep_time(); }},
                      [](One& s) {
                        s.check();
                        require(s.resolver.ledger.expired.get() == 1, "who answered?");
                      });
}

// Beside a blocked caller; with room for one, the tombstone stands in its way.
template <std::uint32_t kPending>
explorer::MakeProgram cancelled() {
  using Two = Service<2, kPending>;
  return program<Two>({[](Two& s) { s.block_for(0); },
                       [](Two& s) {
                         const int gone = s.cancel(s.send(1)) ? 1 : 0;
                         s.take_answers(1 - gone);
                       },
                       [](Two& s) { s.run_batches(); }},
                      [](Two& s) { s.check(); });
}

explorer::MakeProgram poisoned() {
  struct Bad : Service<2> {
    Bad() { poisoned = true; }
  };
  return program<Bad>({[](Bad& s) { s.block_for(0); },
                       [](Bad& s) {
                         static_cast<void>(s.send(1));
                         static_cast<void>(s.send(2));
                         s.take_answers(2);
                       },
                       [](Bad& s) { s.run_batches(); }},
                      [](Bad& s) { s.check(); });
}

// What comes back from a batch that failed is cancelled.
explorer::MakeProgram poisoned_and_cancelled() {
  struct Bad : Service<1> {
    Bad() { poisoned = true; }
  };
  return program<Bad>({[](Bad& s) {
                         static_cast<void>(s.send(1));
                         Record* mate = s.send(2);
                         const int gone = s.cancel(mate) ? 1 : 0;
                         s.take_answers(2 - gone);
                       },
                       [](Bad& s) { s.run_batches(); }},
                      [](Bad& s) {
                        s.check();
                        const auto& ledger = s.resolver.ledger;
                        if (ledger.retried_batches.get() != 0 && ledger.cancelled.get() != 0) {
                          reached("one was cancelled after its batch failed");
                        }
                      });
}

// The run goes on until its only request has expired.
explorer::MakeProgram expired_while_it_runs() {
  struct Slow : Service<1> {
    Slow() { may_end.store(0, std::memory_order_relaxed); }
  };
  return program<Slow>({[](Slow& s) {
                          static_cast<void>(s.send(0, s.clock.now() + kSecond));
                          s.port.serve(1, [&](Record* record) { s.finish(record); });
                          s.may_end.store(1, std::memory_order_release);
                          ExploredAtom::wake(s.may_end, 1);
                          s.leave();
                        },
                        [](Slow& s) { s.run_batches(); }, [](Slow& s) { s.keep_time(); }},
                       [](Slow& s) {
                         s.check();
                         require(s.resolver.ledger.expired.get() == 1, "who answered?");
                         if (s.resolver.ledger.batches.get() != 0) reached("it ran meanwhile");
                       });
}

// Whoever's thread computes for too long gets it back, and its answer from the runner.
explorer::MakeProgram a_lent_thread_comes_back() {
  struct Long : Service<2> {
    Long() {
      run_time = kLentAtMost;
      scheduler.stop_overruns_of(backend);
    }
  };
  return program<Long>({[](Long& s) { s.block_for(0); }, [](Long& s) { s.block_for(1); },
                        [](Long& s) { s.run_batches(); }, [](Long& s) { s.keep_time(); }},
                       [](Long& s) {
                         s.check();
                         if (s.resolver.ledger.retried_batches.get() != 0) reached("one came back");
                       });
}

// Whoever has the token when the run is over, the model may be dropped at once.
explorer::MakeProgram an_overrun_beside_a_close() {
  struct Long : Service<1> {
    Long() {
      run_time = kLentAtMost;
      scheduler.stop_overruns_of(backend);
    }
  };
  return program<Long>(
      {[](Long& s) { s.block_for(0); }, [](Long& s) { static_cast<void>(s.scheduler.ring({})); },
       [](Long& s) { s.run_batches(); }, [](Long& s) { s.keep_time(); }},
      [](Long& s) {
        s.check();
        if (s.resolver.ledger.retried_batches.get() != 0) reached("one came back");
      });
}

explorer::MakeProgram runs_are_stopped() {
  struct Stopped : Service<2> {
    Stopped() {
      stops_runs = true;
      scheduler.stop_overruns_of(backend);
    }
  };
  return program<Stopped>({[](Stopped& s) { s.block_for(0); },
                           [](Stopped& s) {
                             s.executor.stop();
                             s.leave();
                           },
                           [](Stopped& s) { s.run_batches(); }},
                          [](Stopped& s) { s.check(); });
}

// The keeper ends what runs, and has not told the port yet when the run is over and a close looks.
explorer::MakeProgram expired_beside_a_close() {
  struct Late : Service<1> {
    Late() {
      run_time = kSecond;
      static_cast<void>(send(0, clock.now() + kSecond));
    }
  };
  return program<Late>({[](Late& s) { s.run_batches(); }, [](Late& s) { s.keep_time(); },
                        [](Late& s) { s.close(); }},
                       [](Late& s) {
                         s.port.take([&](Record* record) { s.finish(record); });
                         s.check();
                       });
}

// So many are queued that one tombstone among them is worth no sweep; and nobody runs them.
template <std::uint32_t kCallers>
struct Crowd : Service<kCallers, 4> {
  std::array<Record*, 4> queued{};
  Crowd() {
    for (int i = 0; i < 4; ++i) queued[static_cast<std::size_t>(i)] = this->send(i);
  }
};
explorer::MakeProgram crowded() {
  using Full = Crowd<2>;
  return program<Full>({[](Full& s) {
                          require(s.cancel(s.queued[1]), "who answered?");
                          s.leave();
                        },
                        [](Full& s) {
                          static_cast<void>(s.send(4));
                          s.leave();
                        }},
                       [](Full& s) {
                         s.port.take([&](Record* record) { s.finish(record); });
                         s.check();
                       });
}

// Who would rather be refused than wait finds the room too, whoever has the token meanwhile.
explorer::MakeProgram not_refused() {
  using Full = Crowd<2>;
  return program<Full>({[](Full& s) {
                          require(s.cancel(s.queued[1]), "who answered?");
                          require(s.resolver.credits.take(4) == Credits<ExploredAtom>::Take::taken,
                                  "refused for a tombstone");
                          static_cast<void>(s.resolver.credits.give(4));
                          s.leave();
                        },
                        [](Full& s) {
                          static_cast<void>(s.scheduler.ring({}));
                          s.leave();
                        }},
                       [](Full& s) {
                         s.port.take([&](Record* record) { s.finish(record); });
                         s.check();
                       });
}

// The close comes whenever it comes: to a queued request, a sleeping caller, one at the door.
explorer::MakeProgram closed() {
  using Any = Service<3, 1>;  // more than ever leave: the closer is a thread of its own
  return program<Any>({[](Any& s) { s.block_for(0); },
                       [](Any& s) {
                         const int sent = s.send(1) == nullptr ? 0 : 1;
                         s.take_answers(sent);
                       },
                       [](Any& s) { s.run_batches(); }, [](Any& s) { s.close(); }},
                      [](Any& s) { s.check(); });
}

explorer::MakeProgram two_instances() {
  using Wide = Service<2, 4, 2>;
  return program<Wide>({[](Wide& s) {
                          static_cast<void>(s.send(0));
                          static_cast<void>(s.send(1));
                          s.take_answers(2);
                        },
                        [](Wide& s) { s.block_for(2); }, [](Wide& s) { s.run_batches(0); },
                        [](Wide& s) { s.run_batches(1); }},
                       [](Wide& s) { s.check(); });
}

}  // namespace

std::vector<NamedProgram> engine_programs() {
  constexpr explorer::Budget kBudget{.preemptions = 2, .stale = 1, .spurious = 1};
  constexpr std::uint64_t kRuns = 10'000;
  return {
      {"engine: two callers block",
       two_block(),
       kBudget,
       {"a caller ran a batch", "a generation wrapped"},
       kRuns},
      {"engine: one blocks, one is told", one_blocks_one_is_told(), kBudget, {}, kRuns},
      {"engine: deadlines and the keeper",
       deadlines(),
       kBudget,
       {"one expired", "one was answered"},
       kRuns},
      {"engine: nobody but the keeper", only_the_keeper(), kBudget, {"one expired"}, kRuns},
      {"engine: a request is cancelled",
       cancelled<4>(),
       kBudget,
       {"one was cancelled while queued", "one was cancelled while it ran",
        "a cancel came too late"},
       kRuns},
      {"engine: room for one, and a tombstone in it",
       cancelled<1>(),
       kBudget,
       {"one was cancelled while queued", "a caller waited for room", "an epoch wrapped"},
       kRuns},
      {"engine: no room, and a tombstone among many",
       crowded(),
       kBudget,
       {"one was cancelled while queued", "a caller waited for room"},
       kRuns},
      {"engine: no room but a tombstone's, and nobody waits",
       not_refused(),
       kBudget,
       {"one was cancelled while queued"},
       kRuns},
      {"engine: one of a batch makes it fail",
       poisoned(),
       kBudget,
       {"a batch was halved", "one failed", "one was answered"},
       kRuns},
      {"engine: what a failure leaves is cancelled",
       poisoned_and_cancelled(),
       kBudget,
       {"one was cancelled after its batch failed", "one was cancelled while queued"},
       kRuns},
      {"engine: expired while it runs",
       expired_while_it_runs(),
       kBudget,
       {"it ran meanwhile"},
       kRuns},
      {"engine: a lent thread comes back",
       a_lent_thread_comes_back(),
       kBudget,
       {"one came back", "a caller ran a batch", "one was answered"},
       kRuns},
      {"engine: an overrun beside a close",
       an_overrun_beside_a_close(),
       kBudget,
       {"one came back", "one was answered"},
       kRuns},
      {"engine: runs are stopped for good",
       runs_are_stopped(),
       kBudget,
       {"one failed", "one was answered"},
       kRuns},
      {"engine: an expiry beside a close",
       expired_beside_a_close(),
       kBudget,
       {"one expired", "one was closed", "one was answered"},
       kRuns},
      {"engine: closed at any moment",
       closed(),
       kBudget,
       {"one was closed", "the door was closed", "one was answered"},
       kRuns},
      {"engine: two instances", two_instances(), kBudget, {"two batches ran at once"}, kRuns},
  };
}

}  // namespace inferkit::testing
