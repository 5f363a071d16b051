// Callers that sleep are handed batches, runners are called, and the keeper rings for those that
// wait for company.
#include "explorer/service.h"

namespace inferkit::testing {
namespace {

// Batches of kPreferredRows: who rings first runs one, and hands the others to who sleeps.
template <std::uint32_t kPreferredRows>
explorer::MakeProgram lent() {
  using Three = Service<3, 4, 1, kPreferredRows>;
  return program<Three>({[](Three& s) { s.block_for(0); }, [](Three& s) { s.block_for(1); },
                         [](Three& s) { s.block_for(2); }, [](Three& s) { s.run_batches(); }},
                        [](Three& s) { s.check(); });
}

// One of those who sleep goes, whatever is handed to him meanwhile.
explorer::MakeProgram given_up() {
  using Two = Service<2, 4, 1, 1>;
  return program<Two>({[](Two& s) { s.block_for(0); }, [](Two& s) { s.give_up_on(1); },
                       [](Two& s) { s.run_batches(); }},
                      [](Two& s) { s.check(); });
}

// The bay alone: who calls has done something before, and the runner sees it, by the call alone.
struct Calls {
  RunnerBay<ExploredAtom> bay{1};
  std::array<Atomic<std::uint32_t>, 2> done;

  void call(std::size_t me) {
    done[me].store(1, std::memory_order_relaxed);
    static_cast<void>(bay.notify(true));
  }
  void serve() {
    for (;;) {
      bay.consume(0);
      if (done[0].load(std::memory_order_relaxed) + done[1].load(std::memory_order_relaxed) == 2) {
        return;
      }
      reached("the runner looked in vain");
      bay.park(0);
    }
  }
};
explorer::MakeProgram calls() {
  return program<Calls>(
      {[](Calls& c) { c.call(0); }, [](Calls& c) { c.call(1); }, [](Calls& c) { c.serve(); }},
      [](Calls& /*c*/) {});
}

// Nobody waits but for max_delay.
explorer::MakeProgram delayed() {
  using One = Service<1, 4, 1, 4, kSecond>;
  return program<One>({[](One& s) {
                         static_cast<void>(s.send(0));
                         s.take_answers(1);
                       },
                       [](One& s) { s.run_batches(); }, [](One& s) { s.keep_time(); }},
                      [](One& s) {
                        s.check();
                        require(s.resolver.ledger.answered.get() == 1, "not answered");
                        require(s.clock.now() >= kSecond, "it did not wait for company");
                      });
}

// Its batch is a sleeping caller's as well, or fills up.
template <std::uint32_t kPreferredRows>
explorer::MakeProgram delayed_with_a_caller() {
  using Two = Service<2, 4, 1, kPreferredRows, kSecond>;
  return program<Two>({[](Two& s) { s.block_for(0); },
                       [](Two& s) {
                         static_cast<void>(s.send(1));
                         s.take_answers(1);
                       },
                       [](Two& s) { s.run_batches(); }, [](Two& s) { s.keep_time(); }},
                      [](Two& s) {
                        s.check();
                        const bool late = s.clock.now() >= kSecond;
                        reached(late ? "company did not come" : "company came");
                      });
}

}  // namespace

std::vector<NamedProgram> lending_programs() {
  constexpr explorer::Budget kBudget{.preemptions = 2, .stale = 1, .spurious = 1};
  constexpr std::uint64_t kRuns = 10'000;
  return {
      {"lending: three block, a batch each",
       lent<1>(),
       kBudget,
       {"a parked caller was handed a batch", "two parked callers were handed batches"},
       kRuns},
      {"lending: three block, and share batches",
       lent<4>(),
       kBudget,
       {"a parked caller was handed a batch", "a parked caller was handed a batch of several"},
       kRuns},
      {"lending: one gives up",
       given_up(),
       kBudget,
       {"a caller gave up", "one was answered"},
       kRuns},
      {"bay: two call one runner", calls(), kBudget, {"the runner looked in vain"}, kRuns},
      {"lending: max_delay, and nobody else", delayed(), kBudget, {"one was answered"}, kRuns},
      {"lending: max_delay, beside a caller",
       delayed_with_a_caller<4>(),
       kBudget,
       {"company did not come", "a parked caller was handed a batch"},
       kRuns},
      {"lending: max_delay, and enough company",
       delayed_with_a_caller<2>(),
       kBudget,
       {"company came"},
       kRuns},
  };
}

}  // namespace inferkit::testing
