// What is explored: each program is small, and touches one part of the protocol or a few together.
#pragma once

#include <memory>
#include <string>
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

// The first run that goes wrong, in any mode; `outcome.runs` counts all of them.
inline explorer::Outcome explore_all(const NamedProgram& each, std::uint64_t seed,
                                     std::uint64_t scale,
                                     const std::optional<explorer::Site>& weakened = std::nullopt) {
  explorer::DepthFirst first(each.budget);
  explorer::Dice dice(seed, each.most_runs * scale / 5);
  explorer::Pct pct(seed, each.most_runs * scale / 5);
  explorer::Outcome all;
  for (explorer::Chooser* chooser :
       {static_cast<explorer::Chooser*>(&first), static_cast<explorer::Chooser*>(&dice),
        static_cast<explorer::Chooser*>(&pct)}) {
    explorer::Outcome one =
        explorer::explore(each.make, *chooser, each.most_runs * scale, weakened);
    if (chooser == &first) all.complete = one.complete;
    all.runs += one.runs;
    all.sites.merge(one.sites);
    all.failure = one.failure;
    all.choices = one.choices;
    if (!all.failure.empty()) break;
  }
  return all;
}

[[nodiscard]] std::vector<NamedProgram> queue_programs();
[[nodiscard]] std::vector<NamedProgram> engine_programs();

}  // namespace inferkit::testing
