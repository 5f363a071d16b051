// Which runs are so short that they may be made with the GIL kept.
#pragma once

#include "base/clock.h"
#include "engine/engine.h"

namespace inferkit {

// Of one session. Known from its runs themselves, the first time from the engine: what that expects
// is a mean, and on a thread without the GIL a run may look long because whoever has got the GIL
// has got its core too. A long run with the GIL counts a doubt for each microsecond, a short one
// takes one away: so an accident is soon forgotten, and where now and then a run is long, as with
// rows of other shapes, the GIL is kept for those no longer than for the short ones.
// Threads: with the GIL.
class ShortRuns {
 public:
  // Whether it is expected to take no longer than to hand the GIL over.
  [[nodiscard]] bool expects(const Engine& engine, const EngineRequest& request) noexcept;
  // What a run took; with_gil: it was made so, or begun.
  void learn(DurationNs took, bool with_gil) noexcept;

 private:
  static constexpr int kUnknown = -1;

  int doubts_ = kUnknown;
};

}  // namespace inferkit
