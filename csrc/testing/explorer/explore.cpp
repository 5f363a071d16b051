#include "testing/explorer/explore.h"

namespace inferkit::explorer {

Outcome explore(const MakeProgram& make, Chooser& chooser, std::uint64_t most_runs,
                const std::optional<Site>& weakened, std::ostream* trace) {
  Outcome outcome;
  do {
    chooser.begin();
    // On the heap: when a run fails its threads stay where they are, on stacks that it owns.
    auto execution = std::make_unique<Execution>(chooser, weakened, outcome.sites, trace);
    outcome.failure = execution->run(make);
    ++outcome.runs;
    if (!outcome.failure.empty()) {
      outcome.choices = chooser.described();
      return outcome;
    }
    if (!chooser.advance()) {
      outcome.complete = true;
      return outcome;
    }
  } while (outcome.runs < most_runs);
  return outcome;
}

void require(bool good, const char* what) {
  if (!good) Execution::current()->fail(what);
}

}  // namespace inferkit::explorer
