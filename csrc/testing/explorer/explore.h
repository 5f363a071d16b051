// Runs a program in many ways and says what went wrong.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "testing/explorer/chooser.h"
#include "testing/explorer/execution.h"

namespace inferkit::explorer {

using MakeProgram = std::function<std::unique_ptr<Program>()>;

struct Outcome {
  std::uint64_t runs = 0;
  bool complete = false;  // every run within the budget was made
  std::string failure;    // empty: none
  std::string choices;    // of the run that failed, for Replay
  std::uint32_t counts_from = 0;
  Seen seen;
};

// Until a run fails, the chooser has no more, or `most_runs`.
[[nodiscard]] Outcome explore(const MakeProgram& make, Chooser& chooser,
                              std::uint64_t most_runs = ~0ULL, const Settings& settings = {});

// For programs: ends the run where `good` is false.
void require(bool good, const char* what);
// For programs: notes that this run came to what the program is there for.
void reached(const char* what);

}  // namespace inferkit::explorer
