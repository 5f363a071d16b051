// What is explored: each program is small, and touches one part of the protocol or a few together.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "testing/explorer/atom.h"
#include "testing/explorer/explore.h"

namespace inferkit::testing {

// The sanitizers' runtimes do not know of stacks that are switched by hand.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
inline constexpr bool kSanitized =
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool kSanitized = false;
#endif

struct NamedProgram {
  std::string name;
  explorer::MakeProgram make;
  explorer::Budget budget;
  // What some run must come to, by reached(): a program that never gets there shows nothing.
  std::vector<std::string_view> reaches{};
  std::uint64_t most_runs = 20'000;  // depth first; the dice get a fifth each
};

// A program made of functions over what they share.
template <class Shared>
class Threads final : public explorer::Program {
 public:
  using Body = void (*)(Shared&);

  Threads(std::vector<Body> bodies, Body at_the_end)
      : bodies_(std::move(bodies)), at_the_end_(at_the_end) {}
  [[nodiscard]] std::size_t threads() const override { return bodies_.size(); }
  void run(std::size_t thread) override { bodies_[thread](shared_); }
  void check() override { at_the_end_(shared_); }

 private:
  const std::vector<Body> bodies_;
  const Body at_the_end_;
  Shared shared_;
};

template <class Shared>
explorer::MakeProgram program(std::vector<void (*)(Shared&)> bodies, void (*at_the_end)(Shared&)) {
  return [=] { return std::make_unique<Threads<Shared>>(bodies, at_the_end); };
}

// The first run that goes wrong, in any mode; `outcome.runs` counts all of them. Every counter is
// about to wrap, but for the dice.
inline explorer::Outcome explore_all(
    const NamedProgram& each, std::uint64_t seed, std::uint64_t most_runs,
    const std::optional<explorer::Mutation>& mutation = std::nullopt) {
  explorer::DepthFirst first(each.budget);
  explorer::Dice dice(seed, most_runs / 5);
  explorer::Pct pct(seed, most_runs / 5);
  explorer::Outcome all;
  for (explorer::Chooser* chooser :
       {static_cast<explorer::Chooser*>(&pct), static_cast<explorer::Chooser*>(&dice),
        static_cast<explorer::Chooser*>(&first)}) {
    const explorer::Settings settings{mutation, chooser == &dice ? 0 : ~0U};
    explorer::Outcome one = explorer::explore(each.make, *chooser, most_runs, settings);
    if (chooser == &first) all.complete = one.complete;
    all.runs += one.runs;
    all.seen.sites.merge(one.seen.sites);
    for (const auto& [what, runs] : one.seen.reached) all.seen.reached[what] += runs;
    all.failure = one.failure;
    all.choices = one.choices;
    all.counts_from = one.counts_from;
    if (!all.failure.empty()) break;
  }
  return all;
}

[[nodiscard]] std::vector<NamedProgram> queue_programs();
[[nodiscard]] std::vector<NamedProgram> engine_programs();
[[nodiscard]] std::vector<NamedProgram> lending_programs();

}  // namespace inferkit::testing
