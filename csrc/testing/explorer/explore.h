// Runs a program in many ways and says what went wrong.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "testing/explorer/chooser.h"
#include "testing/explorer/execution.h"
#include "testing/explorer/site.h"

namespace inferkit::explorer {

using MakeProgram = std::function<std::unique_ptr<Program>()>;

struct Outcome {
  std::uint64_t runs = 0;
  bool complete = false;  // every run within the budget was made
  std::string failure;    // empty: none
  std::string choices;    // of the run that failed, for Replay
  Sites sites;            // whose order was used
};

// Until a run fails, the chooser has no more, or `most_runs`. `weakened`: the one place whose order
// is taken to be relaxed.
[[nodiscard]] Outcome explore(const MakeProgram& make, Chooser& chooser,
                              std::uint64_t most_runs = ~0ULL,
                              const std::optional<Site>& weakened = std::nullopt,
                              std::ostream* trace = nullptr);

// For programs: ends the run where `good` is false.
void require(bool good, const char* what);

}  // namespace inferkit::explorer
