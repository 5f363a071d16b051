// The explorer itself: it finds what these programs may do under C++20, and nothing that they may
// not.
#include <doctest/doctest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "explorer/programs.h"
#include "testing/explorer/atom.h"
#include "testing/explorer/explore.h"

using namespace inferkit;
using namespace inferkit::explorer;
using inferkit::testing::kSanitized;

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;
constexpr auto kSeqCst = std::memory_order_seq_cst;

// Two variables, two results, and a body for each thread.
struct Shared {
  Atomic<std::uint32_t> x{0};
  Atomic<std::uint32_t> y{0};
  Plain<int> data{0};
  int a = -1;
  int b = -1;
};
using Body = std::function<void(Shared&)>;

class Litmus final : public Program {
 public:
  Litmus(const std::vector<Body>& bodies, std::set<std::string>& seen)
      : bodies_(bodies), seen_(seen) {}
  [[nodiscard]] std::size_t threads() const override { return bodies_.size(); }
  void run(std::size_t thread) override { bodies_[thread](shared_); }
  void check() override { seen_.insert(std::to_string(shared_.a) + std::to_string(shared_.b)); }

 private:
  const std::vector<Body>& bodies_;
  std::set<std::string>& seen_;
  Shared shared_;
};

struct Found {
  Outcome outcome;
  std::set<std::string> results;  // "ab"
};

Found all_runs(const std::vector<Body>& bodies) {
  Found found;
  DepthFirst chooser({.preemptions = 4, .stale = 4, .spurious = 1});
  found.outcome = explore([&] { return std::make_unique<Litmus>(bodies, found.results); }, chooser);
  CHECK((found.outcome.complete || !found.outcome.failure.empty()));
  return found;
}

using Results = std::set<std::string>;

TEST_CASE("explorer: store buffering is seen, and forbidden to seq_cst" *
          doctest::skip(kSanitized)) {
  const auto with = [](std::memory_order store, std::memory_order load) {
    return all_runs({[=](Shared& s) {
                       s.x.store(1, store);
                       s.a = static_cast<int>(s.y.load(load));
                     },
                     [=](Shared& s) {
                       s.y.store(1, store);
                       s.b = static_cast<int>(s.x.load(load));
                     }})
        .results;
  };
  CHECK(with(kRelease, kAcquire) == Results{"00", "01", "10", "11"});
  CHECK(with(kSeqCst, kSeqCst) == Results{"01", "10", "11"});
}

TEST_CASE("explorer: a message passed by release and acquire arrives whole" *
          doctest::skip(kSanitized)) {
  const auto with = [](std::memory_order store, std::memory_order load) {
    return all_runs({[=](Shared& s) {
                       s.x.store(1, kRelaxed);
                       s.y.store(1, store);
                     },
                     [=](Shared& s) {
                       s.a = static_cast<int>(s.y.load(load));
                       s.b = static_cast<int>(s.x.load(kRelaxed));
                     }})
        .results;
  };
  CHECK(with(kRelease, kAcquire) == Results{"00", "01", "11"});
  CHECK(with(kRelaxed, kAcquire) == Results{"00", "01", "10", "11"});
  CHECK(with(kRelease, kRelaxed) == Results{"00", "01", "10", "11"});
}

TEST_CASE("explorer: two readers agree on the order of seq_cst loads, and on no other" *
          doctest::skip(kSanitized)) {
  const auto both_apart = [](std::memory_order load) {
    const auto reads = [load](Atomic<std::uint32_t>& first, Atomic<std::uint32_t>& second) {
      return first.load(load) == 1 && second.load(load) == 0 ? 1 : 0;
    };
    return all_runs({[](Shared& s) { s.x.store(1, kRelaxed); },
                     [](Shared& s) { s.y.store(1, kRelaxed); },
                     [=](Shared& s) { s.a = reads(s.x, s.y); },
                     [=](Shared& s) { s.b = reads(s.y, s.x); }})
        .results.contains("11");
  };
  CHECK(both_apart(kAcquire));
  CHECK_FALSE(both_apart(kSeqCst));
}

TEST_CASE("explorer: a failing exchange may see an old value" * doctest::skip(kSanitized)) {
  const Found found = all_runs({[](Shared& s) {
                                  s.x.store(1, kRelaxed);
                                  s.x.store(2, kRelaxed);
                                },
                                [](Shared& s) {
                                  std::uint32_t seen = 7;
                                  s.a = s.x.compare_exchange_strong(seen, 9, kRelaxed, kRelaxed);
                                  s.b = static_cast<int>(seen);
                                }});
  CHECK(found.results == Results{"00", "01", "02"});
}

TEST_CASE("explorer: a variable is never seen to go back" * doctest::skip(kSanitized)) {
  const Found found = all_runs({[](Shared& s) {
                                  s.x.store(1, kRelaxed);
                                  s.x.store(2, kRelaxed);
                                },
                                [](Shared& s) {
                                  s.a = static_cast<int>(s.x.load(kRelaxed));
                                  s.b = static_cast<int>(s.x.load(kRelaxed));
                                }});
  CHECK(found.results == Results{"00", "01", "02", "11", "12", "22"});
}

TEST_CASE("explorer: a read-modify-write goes on with the release before it" *
          doctest::skip(kSanitized)) {
  const Found found = all_runs({[](Shared& s) {
                                  s.x.store(1, kRelaxed);
                                  s.y.store(1, kRelease);
                                },
                                [](Shared& s) { s.y.fetch_add(1, kRelaxed); },
                                [](Shared& s) {
                                  s.a = static_cast<int>(s.y.load(kAcquire));
                                  if (s.a == 2) s.b = static_cast<int>(s.x.load(kRelaxed));
                                }});
  CHECK(found.results.contains("21"));
  CHECK_FALSE(found.results.contains("20"));
}

TEST_CASE("explorer: a data race is a failure, a message is none" * doctest::skip(kSanitized)) {
  const auto with = [](std::memory_order store) {
    return all_runs({[=](Shared& s) {
                       s.data = 7;
                       s.y.store(1, store);
                     },
                     [](Shared& s) {
                       if (s.y.load(kAcquire) == 1) s.a = s.data;
                     }})
        .outcome.failure;
  };
  CHECK(with(kRelease) == "");
  CHECK(with(kRelaxed) == "data race: a read beside a write");
}

TEST_CASE("explorer: a missed wake is a deadlock, a time-out is none" * doctest::skip(kSanitized)) {
  const auto with = [](bool wakes, TimeNs until) {
    return all_runs({[=](Shared& s) {
                       while (s.x.load(kAcquire) == 0) ExploredAtom::wait(s.x, 0, until);
                     },
                     [=](Shared& s) {
                       s.x.store(1, kRelease);
                       if (wakes) ExploredAtom::wake(s.x, 1);
                     }})
        .outcome.failure;
  };
  CHECK(with(true, kNever) == "");
  CHECK(with(false, kNever) == "deadlock: every thread left sleeps");
  CHECK(with(false, kSecond) == "");
}

TEST_CASE("explorer: a weak exchange fails for nothing, a strong one does not" *
          doctest::skip(kSanitized)) {
  const auto with = [](bool weak) {
    return all_runs({[=](Shared& s) {
             std::uint32_t zero = 0;
             const bool done = weak ? s.x.compare_exchange_weak(zero, 1, kRelaxed, kRelaxed)
                                    : s.x.compare_exchange_strong(zero, 1, kRelaxed, kRelaxed);
             s.a = done ? 1 : 0;
             s.b = 0;
           }})
        .results;
  };
  CHECK(with(true) == Results{"00", "10"});
  CHECK(with(false) == Results{"10"});
}

TEST_CASE("explorer: who waits for ever for another is a livelock" * doctest::skip(kSanitized)) {
  const Found found = all_runs({[](Shared& s) {
    while (s.x.load(kRelaxed) == 0) ExploredAtom::pause();
  }});
  CHECK(found.outcome.failure == "no end after many steps: livelock?");
}

TEST_CASE("explorer: a failed run is made again from what was printed of it" *
          doctest::skip(kSanitized)) {
  const std::vector<Body> bodies = {
      [](Shared& s) { s.x.store(s.x.load(kRelaxed) + 1, kRelaxed); },
      [](Shared& s) { s.x.store(s.x.load(kRelaxed) + 1, kRelaxed); },
      [](Shared& s) { require(s.x.load(kRelaxed) < 3, "counted too far"); },
      [](Shared& s) { require(s.x.load(kRelaxed) != 1, "saw one"); }};
  std::set<std::string> unused;
  const MakeProgram make = [&] { return std::make_unique<Litmus>(bodies, unused); };
  Dice dice(7, 1'000);
  Pct pct(7, 1'000);
  for (Chooser* chooser : {static_cast<Chooser*>(&dice), static_cast<Chooser*>(&pct)}) {
    const Outcome outcome = explore(make, *chooser);
    REQUIRE(outcome.failure == "saw one");
    Replay replay(outcome.choices);
    CHECK(explore(make, replay).failure == "saw one");
  }
}

// What goes wrong with `bodies` when the one place of `operation` is changed; empty: nothing.
std::string changed(const std::vector<Body>& bodies, Operation operation, Mutation::Kind kind) {
  std::set<std::string> unused;
  const MakeProgram make = [&] { return std::make_unique<Litmus>(bodies, unused); };
  DepthFirst sound({.preemptions = 3, .stale = 1, .spurious = 1});
  const Outcome outcome = explore(make, sound);
  REQUIRE(outcome.failure == "");
  for (const auto& [site, place] : outcome.seen.sites) {
    if (place.operation != operation || site.on_failure) continue;
    DepthFirst chooser({.preemptions = 3, .stale = 1, .spurious = 1});
    return explore(make, chooser, ~0ULL, {.mutation = Mutation{site, kind}}).failure;
  }
  return "there is no such place";
}

TEST_CASE("explorer: a place that is changed does what the change says" *
          doctest::skip(kSanitized)) {
  const std::vector<Body> sleeper = {[](Shared& s) {
                                       s.data = 1;
                                       s.x.store(1, kRelease);
                                       ExploredAtom::wake(s.x, 1);
                                     },
                                     [](Shared& s) {
                                       while (s.x.load(kAcquire) == 0) {
                                         ExploredAtom::wait(s.x, 0, kNever);
                                       }
                                       s.data = 2;
                                     }};
  CHECK(changed(sleeper, Operation::wait, Mutation::Kind::blind) ==
        "deadlock: every thread left sleeps");
  CHECK(changed(sleeper, Operation::load, Mutation::Kind::blind) != "");
  CHECK(changed(sleeper, Operation::load, Mutation::Kind::weaker) ==
        "data race: a write beside another access");
  const Body takes = [](Shared& s) {
    std::uint32_t zero = 0;
    if (s.x.compare_exchange_strong(zero, 1, kRelaxed, kRelaxed)) {
      require(s.y.fetch_add(1, kRelaxed) == 0, "two took it");
    }
  };
  CHECK(changed({takes, takes}, Operation::compare, Mutation::Kind::blind) == "two took it");
  const Body counts = [](Shared& s) {
    if (s.x.fetch_add(1, kRelaxed) == 0) s.y.store(s.y.load(kRelaxed) + 1, kRelaxed);
    require(s.y.load(kRelaxed) < 2, "two were first");
  };
  CHECK(changed({counts, counts}, Operation::modify, Mutation::Kind::blind) == "two were first");
}

TEST_CASE("explorer: what runs came to is counted, and where counters start is told" *
          doctest::skip(kSanitized)) {
  std::set<std::string> unused;
  const std::vector<Body> bodies = {[](Shared& s) { s.x.store(1, kRelaxed); },
                                    [](Shared& s) {
                                      if (s.x.load(kRelaxed) == 0) reached("too early");
                                      require(ExploredAtom::counts_from() == 7, "from elsewhere");
                                    }};
  const MakeProgram make = [&] { return std::make_unique<Litmus>(bodies, unused); };
  DepthFirst chooser({.preemptions = 2, .stale = 1, .spurious = 1});
  const Outcome outcome = explore(make, chooser, ~0ULL, {.counts_from = 7});
  CHECK(outcome.failure == "");
  CHECK(outcome.counts_from == 7);
  REQUIRE(outcome.seen.reached.contains("too early"));
  CHECK(outcome.seen.reached.at("too early") < outcome.runs);
}

}  // namespace
