#include "testing/explorer/explore.h"

namespace inferkit::explorer {

Outcome explore(const MakeProgram& make, Chooser& chooser, std::uint64_t most_runs,
                const Settings& settings) {
  Outcome outcome;
  outcome.counts_from = settings.counts_from;
  do {
    chooser.begin();
    // On the heap: when a run fails its threads stay where they are, on stacks that it owns.
    auto execution = std::make_unique<Execution>(chooser, settings, outcome.seen);
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

void reached(const char* what) { Execution::current()->reached(what); }

}  // namespace inferkit::explorer
