// What a model is like, found out before the first request.
#pragma once

#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/clock.h"
#include "batch/latency_table.h"
#include "batch/signature.h"
#include "engine/options.h"

namespace inferkit {

// What warm-up found. Read-only afterwards.
struct Findings {
  Signature signature;             // the backend's, batching refused where it must be
  LatencyTable latency;            // of runs beside others, at the sizes that fitted the time
  bool shapes_proven = false;      // outputs have the declared shape, for one row and for more
  std::vector<std::string> notes;  // for explain()
};

// Runs the model on made-up rows: whether rows stay independent of their batch mates (each row of
// a batch against its run alone), whether the outputs have the shapes declared, how long batches
// take, and whether the session kept for lone runs is worth keeping. Takes at most
// max(250 ms, load_time), or as long as the check and the first runs of one row and two need. With
// options.warmup off only the static rules apply. Blocks: for the runs. Throws: Error(model_load)
// when options ask for batching that the model cannot have.
[[nodiscard]] Findings warm_up(Backend& backend, const EngineOptions& options, DurationNs load_time,
                               const Clock& clock);

}  // namespace inferkit
